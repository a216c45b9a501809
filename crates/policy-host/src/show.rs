//! Results as text and as JSON.

use std::{fmt::Write as _, time::Duration};

use policy_host::{Evaluation, HostCall, HostCallOutcome, HostCallPayload, PolicyHost, Status};
use serde_json::{Value, json};

pub(crate) fn in_microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(crate) fn evaluation_as_json(evaluation: &Evaluation, compile_time: Duration) -> Value {
    let Evaluation { response, patch, mutated_object: _, guest } = evaluation;
    json!({
        "compileMicroseconds": in_microseconds(compile_time),
        "failure": guest.outcome.as_ref().err().map(ToString::to_string),
        "fuel": guest.fuel,
        "hostCalls": guest.host_calls,
        "memoryBytes": guest.memory,
        "microseconds": in_microseconds(guest.time),
        "output": guest.output,
        "patch": patch,
        "response": response,
    })
}

pub(crate) fn evaluation_as_text(evaluation: &Evaluation, compile_time: Duration) -> String {
    let Evaluation { response, patch, mutated_object: _, guest } = evaluation;
    let mut text = String::from(if response.allowed { "allowed" } else { "rejected" });
    if let Some(Status { message, code }) = &response.status {
        if let Some(code) = code {
            let _ = write!(text, " with {code}");
        }
        if let Some(message) = message {
            let _ = write!(text, ": {message}");
        }
    }
    text.push('\n');
    for warning in response.warnings.iter().flatten() {
        let _ = writeln!(text, "warning: {warning}");
    }
    for (key, value) in response.audit_annotations.iter().flatten() {
        let _ = writeln!(text, "audit annotation: {key}={value}");
    }
    match patch {
        Some(patch) => {
            let _ = writeln!(text, "patch: {patch:#}");
        }
        None => text.push_str("no patch\n"),
    }
    for call in &guest.host_calls {
        let _ = writeln!(text, "host call: {}", host_call_as_text(call));
    }
    for line in guest.output.lines() {
        let _ = writeln!(text, "guest: {line}");
    }
    if let Some(fuel) = guest.fuel {
        let _ = writeln!(text, "fuel: {fuel}");
    }
    let _ = write!(
        text,
        "time: {:.1} µs, memory: {} bytes, compilation: {:.1} µs",
        in_microseconds(guest.time),
        guest.memory,
        in_microseconds(compile_time)
    );
    text
}

fn host_call_as_text(call: &HostCall) -> String {
    let HostCall { binding, namespace, operation, payload, outcome } = call;
    let payload = match payload {
        HostCallPayload::Json(payload) => payload.to_string(),
        HostCallPayload::Bytes(payload) => format!("{} bytes", payload.len()),
    };
    let outcome = match outcome {
        HostCallOutcome::Answered(object) => object.to_string(),
        HostCallOutcome::Logged => "logged".to_owned(),
        HostCallOutcome::Failed(message) => format!("failed: {message}"),
        HostCallOutcome::Unexpected(message) => format!("unexpected: {message}"),
    };
    format!("{binding}/{namespace}/{operation} {payload}\n  {outcome}")
}

pub(crate) fn policy_as_json(host: &PolicyHost, size: usize) -> Value {
    let (protocol_version, error) = match host.protocol_version() {
        Ok(version) => (Some(version), None),
        Err(error) => (None, Some(error.to_string())),
    };
    json!({
        "compileMicroseconds": in_microseconds(host.compile_time()),
        "metadata": host.metadata().map(|metadata| &metadata.json),
        "metadataBytes": host.metadata().map(|metadata| metadata.bytes.len()),
        "moduleBytes": size,
        "protocolVersion": protocol_version,
        "protocolVersionError": error,
    })
}

pub(crate) fn policy_as_text(report: &Value) -> String {
    let Some(fields) = report.as_object() else { return report.to_string() };
    let lines = fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::String(value) => format!("{name}: {value}"),
        value => format!("{name}: {value:#}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
