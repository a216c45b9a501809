//! What came of a run, for people. Colours are always there; the terminal's stream takes them out.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use policy_host::{Evaluation, HostCall, HostCallOutcome, HostCallPayload, Status};
use serde_json::Value;

use crate::{
    number::{grouped, time},
    review::Subject,
    run::{Cost, Module, Outcome, Scene},
    yaml,
};

const TITLE: Style = Style::new().bold();
const LABEL: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();
const PLAIN: Style = Style::new();

/// Where the text begins, right of the labels.
const INDENT: usize = 11;
/// How long a line of prose gets.
const WIDTH: usize = 80;

/// An error with its causes.
pub(crate) fn error(error: &anyhow::Error) -> String {
    let mut out = String::new();
    paint(&mut out, BAD, "error");
    paint(&mut out, PLAIN, &format!(": {error:#}"));
    out
}

/// The module, on one line.
pub(crate) fn module(module: &Module) -> String {
    let Module { name, bytes, compile_time } = module;
    let mut out = String::new();
    paint(&mut out, TITLE, name);
    paint(&mut out, PLAIN, &format!(": {} bytes, compiled in {}", grouped(*bytes), time(*compile_time)));
    out
}

/// A run: what was given, what was answered, what it took.
pub(crate) fn run(number: Option<usize>, scene: &Scene, outcome: &Outcome) -> Result<String> {
    let mut out = String::new();
    let number = number.map(|number| format!("{number}. ")).unwrap_or_default();
    let title = format!("{number}{}", scene.title);
    paint(&mut out, TITLE, &title);
    out.push('\n');
    paint(&mut out, TITLE, &"─".repeat(title.chars().count()));
    out.push_str("\n\n");
    given(&mut out, scene)?;
    match outcome {
        Outcome::SettingsRefused(message) => {
            labelled(&mut out, "answer", BAD, "the settings are refused");
            prose(&mut out, "", PLAIN, message);
        }
        Outcome::Evaluated(evaluation, cost) => {
            answer(&mut out, scene, evaluation);
            out.push('\n');
            if let (Some(before), Some(after)) =
                (scene.review.pointer("/request/object"), &evaluation.mutated_object)
            {
                diff(&mut out, &yaml::diff(before, after)?);
            }
            costs(&mut out, cost);
        }
    }
    Ok(out)
}

fn given(out: &mut String, scene: &Scene) -> Result<()> {
    let Subject { operation, resource, namespace, name, .. } = Subject::of(&scene.review);
    labelled(out, "request", PLAIN, &format!("{operation} {resource} {namespace}/{name}"));
    let settings = match &scene.settings {
        Value::Object(fields) if !fields.is_empty() => yaml::text(&scene.settings)?,
        _ => "none".to_owned(),
    };
    labelled(out, "settings", PLAIN, &settings);
    for object in &scene.objects {
        let mut found = reference(object);
        match object.pointer("/metadata/annotations").and_then(Value::as_object) {
            Some(annotations) => {
                for (key, value) in annotations {
                    let _ = write!(found, "\n  {key}: {}", value.as_str().unwrap_or_default());
                }
            }
            None if scene.is_service_account_assumed => {
                found.push_str(", without annotations (none was given)")
            }
            None => found.push_str(", without annotations"),
        }
        labelled(out, "cluster", PLAIN, &found);
    }
    out.push('\n');
    Ok(())
}

fn answer(out: &mut String, scene: &Scene, evaluation: &Evaluation) {
    let Evaluation { response, patch, mutated_object: _, guest } = evaluation;
    match (&guest.outcome, response.allowed, patch) {
        (Err(_), ..) => labelled(out, "answer", BAD, "the policy failed"),
        (_, true, Some(_)) => labelled(out, "answer", GOOD, "admitted, changed"),
        (_, true, None) => labelled(out, "answer", GOOD, "admitted, unchanged"),
        (_, false, _) => labelled(out, "answer", BAD, "refused"),
    }
    if let Some(Status { message, code }) = &response.status {
        let code = code.map(|code| format!("{code}: ")).unwrap_or_default();
        prose(out, "", PLAIN, &(code + message.as_deref().unwrap_or("no message")));
    }
    for (key, value) in response.audit_annotations.iter().flatten() {
        labelled(out, key, PLAIN, value);
    }
    for call in &guest.host_calls {
        prose(out, "lookup", PLAIN, &lookup(call));
    }
    if !scene.is_service_account_assumed {
        for object in
            scene.objects.iter().filter(|object| !guest.host_calls.iter().any(|call| asks_for(call, object)))
        {
            prose(out, "note", WARNING, &format!("the policy did not ask for {}", reference(object)));
        }
    }
    for warning in response.warnings.iter().flatten() {
        prose(out, "warning", WARNING, warning);
    }
}

fn asks_for(call: &HostCall, object: &Value) -> bool {
    let HostCallPayload::Json(payload) = &call.payload else { return false };
    [("kind", "/kind"), ("namespace", "/metadata/namespace"), ("name", "/metadata/name")]
        .iter()
        .all(|(asked, given)| payload.get(asked) == object.pointer(given))
}

fn reference(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

fn lookup(call: &HostCall) -> String {
    let HostCall { operation, payload, outcome, .. } = call;
    let wanted = match payload {
        HostCallPayload::Json(payload) => {
            let text = |field: &str| payload.get(field).and_then(Value::as_str).unwrap_or_default();
            format!("{} {}/{}", text("kind"), text("namespace"), text("name"))
        }
        HostCallPayload::Bytes(_) => operation.clone(),
    };
    match outcome {
        HostCallOutcome::Answered(_) => format!("{wanted}: found"),
        HostCallOutcome::Logged => format!("{wanted}: logged"),
        HostCallOutcome::Failed(message) | HostCallOutcome::Unexpected(message) => {
            format!("{wanted}: {message}")
        }
    }
}

fn diff(out: &mut String, diff: &str) {
    for (index, line) in diff.lines().enumerate() {
        let style = match line.chars().next() {
            _ if index < 2 => LABEL,
            Some('+') => ADDED,
            Some('-') => REMOVED,
            Some('@') => PLACE,
            _ => PLAIN,
        };
        paint(out, style, line);
        out.push('\n');
    }
    if !diff.is_empty() {
        out.push('\n');
    }
}

fn costs(out: &mut String, cost: &Cost) {
    let Cost { calls, time: whole, instance, fuel } = cost;
    let (request, instance) = (time(whole.saturating_sub(*instance)), time(*instance));
    let times = format!("{request}, and {instance} for a new instance (median of {calls})");
    labelled(out, "time", PLAIN, &times);
    labelled(out, "fuel", PLAIN, &grouped(*fuel));
}

/// A label, and sentences.
fn prose(out: &mut String, label: &str, style: Style, text: &str) {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && INDENT + line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::take(&mut line));
            }
            let _ = write!(line, "{}{word}", if line.is_empty() { "" } else { " " });
        }
        lines.push(line);
    }
    labelled(out, label, style, &lines.join("\n"));
}

/// A label, and text that may have several lines.
fn labelled(out: &mut String, label: &str, style: Style, text: &str) {
    for (index, line) in text.lines().enumerate() {
        let label = if index == 0 { label } else { "" };
        paint(out, LABEL, label);
        out.extend(std::iter::repeat_n(' ', INDENT.saturating_sub(label.chars().count()).max(1)));
        paint(out, style, line);
        out.push('\n');
    }
}

/// Files and messages may hold what a terminal takes for a command.
fn paint(out: &mut String, style: Style, text: &str) {
    let _ = write!(out, "{style}");
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    let _ = write!(out, "{style:#}");
}

#[cfg(test)]
mod tests;
