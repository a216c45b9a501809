//! Guests to test with.

use policy_host::{Error, Options, PolicyHost};
use serde_json::{Value, json};

/// A guest that takes any settings, speaks protocol `v1`, and runs `body` for every other operation.
pub(crate) struct Guest {
    /// Instructions that leave the status of `__guest_call` on the stack. The guest's functions and texts
    /// are described at [`Guest::wasm`].
    pub(crate) body: &'static str,
    /// The texts to be found in memory.
    pub(crate) texts: Vec<String>,
    /// The answer to `validate_settings`.
    pub(crate) settings_answer: &'static str,
    /// Further fields of the module.
    pub(crate) fields: &'static str,
    pub(crate) metadata: Option<String>,
}

const TEXT_SIZE: usize = 512;

impl Guest {
    pub(crate) fn new(body: &'static str) -> Self {
        Self { body, texts: Vec::new(), settings_answer: r#"{"valid":true}"#, fields: "", metadata: None }
    }

    /// Answers everything with this text.
    pub(crate) fn answering(answer: &Value) -> Self {
        Self::answering_text(&answer.to_string())
    }

    pub(crate) fn answering_text(answer: &str) -> Self {
        Self {
            texts: vec![answer.to_owned()],
            ..Self::new("(call $answer (call $text (i32.const 0))) i32.const 1")
        }
    }

    /// Calls the host and answers with what it gets, or fails with the error that it gets. Has the metadata to read
    /// ConfigMaps and Namespaces.
    pub(crate) fn calling(binding: &str, namespace: &str, operation: &str, payload: &str) -> Self {
        let body = "
            (call $host_call
                (call $text (i32.const 0)) (call $text (i32.const 1)) (call $text (i32.const 2))
                (call $text (i32.const 3)))
            if (result i32)
                (call $host_response (i32.const 65536))
                (call $answer (i32.const 65536) (call $host_response_len))
                i32.const 1
            else
                (call $host_error (i32.const 65536))
                (call $fail (i32.const 65536) (call $host_error_len))
                i32.const 0
            end";
        Self {
            texts: [binding, namespace, operation, payload].map(str::to_owned).to_vec(),
            metadata: Some(
                json!({"contextAwareResources": [
                    {"apiVersion": "v1", "kind": "ConfigMap"},
                    {"apiVersion": "v1", "kind": "Namespace"},
                ]})
                .to_string(),
            ),
            ..Self::new(body)
        }
    }

    /// Text number `n` is at `1024 + 512 * n`; `$text` gives its address and length. The payload goes to 65536.
    pub(crate) fn wasm(&self) -> Vec<u8> {
        let Self { body, texts, settings_answer, fields, metadata } = self;
        let metadata = metadata
            .as_ref()
            .map(|metadata| format!("(@custom \"io.kubewarden.metadata\" \"{}\")", escape(metadata)))
            .unwrap_or_default();
        let data: String = texts
            .iter()
            .enumerate()
            .map(|(index, text)| {
                assert!(text.len() <= TEXT_SIZE, "a text is too long");
                format!("(data (i32.const {}) \"{}\")", 1024 + TEXT_SIZE * index, escape(text))
            })
            .collect();
        let lengths: String = texts
            .iter()
            .enumerate()
            .map(|(index, text)| {
                format!(
                    "(if (i32.eq (local.get 0) (i32.const {index})) (then (local.set 1 (i32.const {}))))",
                    text.len()
                )
            })
            .collect();
        let wat = format!(
            r#"(module
            {metadata}
            (import "wapc" "__guest_request" (func $guest_request (param i32 i32)))
            (import "wapc" "__guest_response" (func $answer (param i32 i32)))
            (import "wapc" "__guest_error" (func $fail (param i32 i32)))
            (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
            (import "wapc" "__host_response" (func $host_response (param i32)))
            (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
            (import "wapc" "__host_error" (func $host_error (param i32)))
            (import "wapc" "__console_log" (func $console_log (param i32 i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
            (memory (export "memory") 3)
            (data (i32.const 16) "{settings_answer}")
            (data (i32.const 8) "\"v1\"")
            {data}
            {fields}
            (func $text (param i32) (result i32 i32)
                (local i32)
                {lengths}
                (i32.add (i32.const 1024) (i32.mul (local.get 0) (i32.const {TEXT_SIZE})))
                (local.get 1))
            (func (export "__guest_call") (param $operation_length i32) (param $length i32) (result i32)
                (if (i32.eq (local.get $operation_length) (i32.const 16))
                    (then (call $answer (i32.const 8) (i32.const 4)) (return (i32.const 1))))
                (if (i32.eq (local.get $operation_length) (i32.const 17))
                    (then (call $answer (i32.const 16) (i32.const {settings_length})) (return (i32.const 1))))
                {body}))"#,
            settings_answer = escape(settings_answer),
            settings_length = settings_answer.len(),
        );
        wat::parse_str(&wat).expect("the guest is well-formed")
    }

    pub(crate) fn load(&self) -> PolicyHost {
        self.load_with(Options::default()).expect("the guest is a waPC policy")
    }

    pub(crate) fn load_with(&self, options: Options) -> Result<PolicyHost, Error> {
        PolicyHost::load(&self.wasm(), options)
    }
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A request to create a pod.
pub(crate) fn request(object: &Value) -> Value {
    json!({
        "uid": "u-1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "userInfo": {"username": "admin"},
        "object": object,
    })
}
