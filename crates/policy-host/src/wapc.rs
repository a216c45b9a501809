//! The nine functions that a waPC guest imports, and what they share during one call.

use wasmtime::{Caller, Error, Extern, Linker, Memory, Result};
use wasmtime_wasi::p1::{self, WasiP1Ctx};

use crate::host_call::Capabilities;

const MODULE: &str = "wapc";

/// The state of one call. A store holds it and is dropped with it.
pub(crate) struct GuestState {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) capabilities: Capabilities,
    pub(crate) operation: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) response: Option<Vec<u8>>,
    pub(crate) error: Option<String>,
    pub(crate) console: Vec<String>,
    host_response: Vec<u8>,
    host_error: String,
}

impl GuestState {
    pub(crate) fn new(wasi: WasiP1Ctx, capabilities: Capabilities, operation: &str, payload: &[u8]) -> Self {
        Self {
            wasi,
            capabilities,
            operation: operation.as_bytes().to_owned(),
            payload: payload.to_owned(),
            response: None,
            error: None,
            console: Vec::new(),
            host_response: Vec::new(),
            host_error: String::new(),
        }
    }
}

/// Defines everything that a waPC policy can import.
pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> Result<()> {
    p1::add_to_linker_sync(linker, |state| &mut state.wasi)?;
    linker
        .func_wrap(MODULE, "__guest_request", guest_request)?
        .func_wrap(MODULE, "__guest_response", guest_response)?
        .func_wrap(MODULE, "__guest_error", guest_error)?
        .func_wrap(MODULE, "__host_call", host_call)?
        .func_wrap(MODULE, "__host_response_len", host_response_len)?
        .func_wrap(MODULE, "__host_response", host_response)?
        .func_wrap(MODULE, "__host_error_len", host_error_len)?
        .func_wrap(MODULE, "__host_error", host_error)?
        .func_wrap(MODULE, "__console_log", console_log)?;
    Ok(())
}

fn guest_request(mut caller: Caller<'_, GuestState>, operation_at: i32, payload_at: i32) -> Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    write(bytes, payload_at, &state.payload)?;
    write(bytes, operation_at, &state.operation)
}

fn guest_response(mut caller: Caller<'_, GuestState>, at: i32, length: i32) -> Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    state.response = Some(read(bytes, at, length)?.to_owned());
    Ok(())
}

fn guest_error(mut caller: Caller<'_, GuestState>, at: i32, length: i32) -> Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    state.error = Some(text(read(bytes, at, length)?, "guest error")?.to_owned());
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the waPC protocol has them")]
fn host_call(
    mut caller: Caller<'_, GuestState>,
    binding_at: i32,
    binding_length: i32,
    namespace_at: i32,
    namespace_length: i32,
    operation_at: i32,
    operation_length: i32,
    payload_at: i32,
    payload_length: i32,
) -> Result<i32> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let binding = text(read(bytes, binding_at, binding_length)?, "binding")?;
    let namespace = text(read(bytes, namespace_at, namespace_length)?, "namespace")?;
    let operation = text(read(bytes, operation_at, operation_length)?, "operation")?;
    let payload = read(bytes, payload_at, payload_length)?;

    state.host_response.clear();
    state.host_error.clear();
    match state.capabilities.answer(binding, namespace, operation, payload) {
        Ok(response) => {
            state.host_response = response;
            Ok(1)
        }
        Err(message) => {
            state.host_error = message;
            Ok(0)
        }
    }
}

fn host_response_len(caller: Caller<'_, GuestState>) -> Result<i32> {
    Ok(i32::try_from(caller.data().host_response.len())?)
}

fn host_response(mut caller: Caller<'_, GuestState>, at: i32) -> Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    write(bytes, at, &state.host_response)
}

fn host_error_len(caller: Caller<'_, GuestState>) -> Result<i32> {
    Ok(i32::try_from(caller.data().host_error.len())?)
}

fn host_error(mut caller: Caller<'_, GuestState>, at: i32) -> Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    write(bytes, at, state.host_error.as_bytes())
}

fn console_log(mut caller: Caller<'_, GuestState>, at: i32, length: i32) -> Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    state.console.push(text(read(bytes, at, length)?, "console log")?.to_owned());
    Ok(())
}

fn memory(caller: &mut Caller<'_, GuestState>) -> Result<Memory> {
    caller
        .get_export("memory")
        .and_then(Extern::into_memory)
        .ok_or_else(|| Error::msg("expected the guest to export its memory as `memory`"))
}

fn read(memory: &[u8], at: i32, length: i32) -> Result<&[u8]> {
    let start = address(at);
    memory.get(start..start.saturating_add(address(length))).ok_or_else(|| {
        Error::msg(format!("expected {length} bytes at {at} to lie inside of the guest's memory"))
    })
}

fn write(memory: &mut [u8], at: i32, bytes: &[u8]) -> Result<()> {
    let start = address(at);
    let length = bytes.len();
    memory
        .get_mut(start..start.saturating_add(length))
        .ok_or_else(|| Error::msg(format!("expected room for {length} bytes at {at} in the guest's memory")))?
        .copy_from_slice(bytes);
    Ok(())
}

/// Addresses are unsigned in WebAssembly, whatever the protocol's signature says.
fn address(value: i32) -> usize {
    value.cast_unsigned() as usize
}

fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    str::from_utf8(bytes).map_err(|error| Error::msg(format!("expected the {what} to be UTF-8: {error}")))
}
