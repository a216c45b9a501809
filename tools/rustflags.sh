# Sourced. Flags for rustc, in CARGO_ENCODED_RUSTFLAGS.

# A folder's name may hold blanks: cargo splits them at 0x1f alone.
add_rustflags() {
  for flag in "$@"; do
    CARGO_ENCODED_RUSTFLAGS=$(printf '%s\037%s' "$CARGO_ENCODED_RUSTFLAGS" "$flag")
  done
  export CARGO_ENCODED_RUSTFLAGS
}

# What is built depends on neither the folder nor the user. The last that fits counts.
without_folders() {
  # The folder of the crates has a name of its own for each registry: it has to be there to be left out.
  cargo fetch --quiet ${CI:+--locked} "$@"
  CARGO_ENCODED_RUSTFLAGS=--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo
  add_rustflags "--remap-path-prefix=$PWD=/pod-identity-policy"
  for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    add_rustflags "--remap-path-prefix=$registry=/crates"
  done
}
