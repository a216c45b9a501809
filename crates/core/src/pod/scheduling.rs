//! On which operating system a pod will run
//! (<https://kubernetes.io/docs/concepts/windows/user-guide/#ensuring-os-specific-workloads-land-on-the-appropriate-container-host>).

use crate::json::{Name, Scanner, members, names};
use crate::path::Os;

const OS_LABELS: &[Name] = names!["kubernetes.io/os", "beta.kubernetes.io/os"];

/// What a pod says of where it may run.
#[derive(Clone, Debug, Default)]
pub(super) struct Scheduling<'a> {
    os_name: Option<&'a str>,
    selects_windows: bool,
    selects_other: bool,
    /// Every required term admits nothing but Windows.
    requires_windows: bool,
}

impl<'a> Scheduling<'a> {
    pub(super) fn os(&self) -> Os {
        let windows = match self.os_name {
            Some(name) => name == "windows",
            None => self.selects_windows || !self.selects_other && self.requires_windows,
        };
        if windows { Os::Windows } else { Os::Unix }
    }

    pub(super) fn read_os(&mut self, s: &mut Scanner<'a>) {
        if let Some(mut members) = s.object(names!["name"]) {
            while members.next(s).is_some() {
                self.os_name = super::name(s);
            }
        }
    }

    pub(super) fn read_node_selector(&mut self, s: &mut Scanner<'a>) {
        if let Some(mut members) = s.object(OS_LABELS) {
            while members.next(s).is_some() {
                if let Some(os) = s.optional_string() {
                    self.selects_windows |= os == "windows";
                    self.selects_other |= os != "windows";
                }
            }
        }
    }

    pub(super) fn read_affinity(&mut self, s: &mut Scanner<'a>) {
        let Some(mut affinity) = s.object(names!["nodeAffinity"]) else { return };
        while affinity.next(s).is_some() {
            self.read_node_affinity(s);
        }
    }

    fn read_node_affinity(&mut self, s: &mut Scanner<'a>) {
        let Some(mut node) = s.object(names!["requiredDuringSchedulingIgnoredDuringExecution"]) else {
            return;
        };
        while node.next(s).is_some() {
            let Some(mut required) = s.object(names!["nodeSelectorTerms"]) else { continue };
            while required.next(s).is_some() {
                self.requires_windows = terms_require_windows(s);
            }
        }
    }
}

/// Terms are alternatives: each one has to.
fn terms_require_windows(s: &mut Scanner<'_>) -> bool {
    let Some(mut terms) = s.array() else { return false };
    let mut all = true;
    while terms.next(s) {
        let mut windows = false;
        if let Some(mut term) = s.object(names!["matchExpressions"]) {
            while term.next(s).is_some() {
                let Some(mut expressions) = s.array() else { continue };
                while expressions.next(s) {
                    // Expressions of a term all have to hold, so one of them is enough.
                    windows |= expression_requires_windows(s);
                }
            }
        }
        all &= windows;
    }
    all && terms.count() > 0
}

members!(ExpressionMember { Key: "key", Operator: "operator", Values: "values" });

fn expression_requires_windows(s: &mut Scanner<'_>) -> bool {
    let (mut on_os, mut is_in, mut only_windows) = (false, false, false);
    if let Some(mut expression) = s.object(ExpressionMember::NAMES) {
        while let Some(member) = expression.next(s).and_then(ExpressionMember::at) {
            match member {
                ExpressionMember::Key => {
                    on_os = s
                        .optional_string()
                        .is_some_and(|key| OS_LABELS.iter().any(|label| label.text == key));
                }
                ExpressionMember::Operator => is_in = s.optional_string() == Some("In"),
                ExpressionMember::Values => {
                    let Some(mut values) = s.array() else { continue };
                    only_windows = true;
                    while values.next(s) {
                        only_windows &= s.optional_string() == Some("windows");
                    }
                    only_windows &= values.count() > 0;
                }
            }
        }
    }
    on_os && is_in && only_windows
}
