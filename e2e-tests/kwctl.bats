#!/usr/bin/env bats
#
# Runs the module with kwctl, the way policy-server would. Needs kwctl, jq and the module:
#
#   make annotated-policy.wasm && bats e2e-tests/kwctl.bats
#
# Whole answers are compared, with the patch decoded. Lookups are replayed from lookups/, so no cluster is
# needed. KWCTL names another kwctl, POLICY another module. To write the expected answers anew, after reading
# what changed: UPDATE=1 bats e2e-tests/kwctl.bats

setup() {
  cd "$BATS_TEST_DIRNAME/.."
  KWCTL="${KWCTL:-kwctl}"
  POLICY="${POLICY:-annotated-policy.wasm}"
  cases=testdata/cases
  lookups=e2e-tests/lookups
  out="$BATS_TEST_TMPDIR"
  # Nothing here may depend on a cluster that happens to be at hand.
  export KUBECONFIG="$out/no-such-kubeconfig"
}

# Evaluates a request; the answer goes to $out/answer.json, with sorted keys and the patch as JSON.
evaluate() {
  local request="$1"
  shift
  "$KWCTL" run "$POLICY" --request-path "$request" "$@" >"$out/stdout" 2>"$out/stderr" || {
    cat "$out/stderr" >&2
    return 1
  }
  jq -S 'if .patch then .patch |= (@base64d | fromjson) else . end' "$out/stdout" >"$out/answer.json"
}

# Compares with e2e-tests/expected/$1.
same_as() {
  local expected="e2e-tests/expected/$1"
  if [ -n "${UPDATE:-}" ]; then
    cp "$out/answer.json" "$expected"
  fi
  diff -u <(jq -S . "$expected") "$out/answer.json"
}

# Whether all recorded lookups were made: kwctl only warns about those that were not.
all_replayed() {
  ! grep 'have not been replayed' "$out/stderr" >&2
}

@test "a role from the service account's annotation, looked up through the host" {
  evaluate $cases/identity-role-from-the-annotation/request.json --allow-context-aware \
    --replay-host-capabilities-interactions $lookups/annotation.yml
  all_replayed
  same_as annotation.json
}

@test "a service account that is not there and no mapping: the pod is left as it is" {
  evaluate $cases/identity-role-from-the-annotation/request.json --allow-context-aware \
    --replay-host-capabilities-interactions $lookups/not-there.yml
  all_replayed
  same_as not-there.json
}

@test "a lookup that is not granted: admitted with a warning that says what to grant" {
  evaluate $cases/identity-role-from-the-annotation/request.json
  same_as not-granted.json
}

@test "a role from the mapping, with annotations switched off: no lookup" {
  evaluate $cases/identity-role-from-the-annotation/request.json --settings-json '{
    "serviceAccountAnnotations": false,
    "awsDefaultRegion": "eu-central-1",
    "stsRegionalEndpoints": true,
    "mapping": {"pay/*": "arn:aws:iam::111122223333:role/{namespace}/{serviceAccount}"}
  }'
  same_as mapping.json
}

@test "a role from the config map of kOps" {
  evaluate $cases/kops-config-map/request.json --settings-path examples/settings/kops.yaml --allow-context-aware \
    --replay-host-capabilities-interactions $lookups/kops.yml
  all_replayed
  same_as kops.json
}

@test "a pod with the skip label is left alone, without a lookup" {
  evaluate $cases/identity-skip-label/request.json
  same_as skip-label.json
}

@test "a service account is completed from the mapping" {
  evaluate $cases/serviceaccount-annotated/request.json \
    --settings-path $cases/serviceaccount-annotated/settings.json
  same_as service-account.json
}

@test "verify: a pod without its identity is refused" {
  evaluate $cases/identity-role-from-the-annotation/request.json --settings-json '{"mode": "verify"}' \
    --allow-context-aware --replay-host-capabilities-interactions $lookups/annotation.yml
  all_replayed
  same_as verify.json
}

@test "invalid settings: every problem is listed, with its place" {
  run "$KWCTL" run "$POLICY" --request-path $cases/identity-role-from-the-annotation/request.json --settings-json '{
    "mode": "check",
    "tokenExpiration": 5,
    "tokenFileMode": 440,
    "mapping": {"pay ments/api": "arn:aws:iam::111122223333:role/x", "pay/api": "arn:aws:iam::123:role/x"},
    "mappingConfigmap": {}
  }'
  [ "$status" -eq 1 ]
  printf '%s\n' "$output" | sed -n 's/^Error: Provided settings are not valid: //p' |
    jq -S -R 'split("; ")' >"$out/answer.json"
  same_as invalid-settings.json
}

@test "every example of settings is valid" {
  for settings in examples/settings/*.yaml; do
    evaluate $cases/identity-skip-label/request.json --settings-path "$settings"
    same_as skip-label.json
  done
}

@test "the module's metadata" {
  "$KWCTL" inspect --output yaml "$POLICY" >"$out/inspect.yml" 2>"$out/stderr"
  if [ -n "${UPDATE:-}" ]; then
    cp "$out/inspect.yml" e2e-tests/expected/inspect.yml
  fi
  diff -u e2e-tests/expected/inspect.yml "$out/inspect.yml"
}
