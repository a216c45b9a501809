//! `pod-identity-webhook`.

fn main() -> anyhow::Result<()> {
    Ok(())
}
