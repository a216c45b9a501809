//! What a policy adds to the start of a policy-server that has no other: it compiles the policy, and asks it about its settings.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    context::Context,
    inputs, process,
    results::Record,
    sections::{
        guest,
        policy_server::{policy, shown, spawn, wait},
    },
};

/// How often it is looked whether it has started.
const INTERVAL: Duration = Duration::from_millis(2);

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let Some(program) = context.policy_server.clone() else { return Ok(()) };
    let settings = inputs::settings(0, &context.pods);
    record.command(shown("none"));
    record.command(shown("one"));
    // Not counted: it reads the program from the disk.
    Started::measure(context, &program, &json!({}))?;
    for round in 0..context.effort.guest_rounds {
        eprintln!("bench: policy-server-start: round {} of {}", round + 1, context.effort.guest_rounds);
        let [ours, sdk, template, _] = guest::policies(context);
        for (name, path) in [ours, sdk, template] {
            // Beside each, for the machine is not always as fast.
            let none = Started::measure(context, &program, &json!({}))?;
            let one = Started::measure(context, &program, &json!({"policy": policy(&path, &settings)?}))?;
            let added = one.less(none);
            record.add("policy-server-start.time", name, added.time);
            record.add("policy-server-start.cpu", name, added.cpu);
            record.add("policy-server-start.memory", name, added.memory);
        }
    }
    Ok(())
}

/// What a policy-server has taken when it accepts connections, which it does when it has compiled its policies.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Started {
    /// Since it was started, in milliseconds.
    time: f64,
    /// Processor time, in milliseconds.
    cpu: f64,
    /// The most that was resident, in bytes.
    memory: f64,
}

impl Started {
    fn measure(context: &Context, program: &Path, policies: &Value) -> anyhow::Result<Self> {
        let started = Instant::now();
        let (mut process, port) = spawn(context, program, policies)?;
        wait(&mut process, started, INTERVAL, |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
        let time = started.elapsed();
        let cpu = process::scheduled(&process.id())?.running;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        Ok(Self { time: milliseconds(time), cpu: milliseconds(cpu), memory: process.memory()?.peak })
    }

    fn less(self, other: Self) -> Self {
        Self { time: self.time - other.time, cpu: self.cpu - other.cpu, memory: self.memory - other.memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_adds_is_the_difference() {
        let one = Started { time: 1120.0, cpu: 260.0, memory: 5000.0 };
        let none = Started { time: 1000.0, cpu: 60.0, memory: 2000.0 };
        assert_eq!(one.less(none), Started { time: 120.0, cpu: 200.0, memory: 3000.0 });
    }
}
