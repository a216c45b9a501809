//! waPC as a guest speaks it (<https://wapc.io/docs/spec/>).
//!
//! `wapc-guest` is written for std, whose reports of panics are 20 KB, and keeps its functions in a map with random keys,
//! made for each request.

#![allow(unsafe_code, reason = "the host writes into the guest's memory")]

use alloc::vec::Vec;

#[link(wasm_import_module = "wapc")]
unsafe extern "C" {
    fn __guest_request(operation: *mut u8, payload: *mut u8);
    fn __guest_response(answer: *const u8, len: usize);
    fn __guest_error(error: *const u8, len: usize);
    #[rustfmt::skip]
    fn __host_call(
        binding: *const u8,
        binding_len: usize,
        namespace: *const u8,
        namespace_len: usize,
        operation: *const u8,
        operation_len: usize,
        payload: *const u8,
        payload_len: usize,
    ) -> usize;
    fn __host_response_len() -> usize;
    fn __host_response(answer: *mut u8);
    fn __host_error_len() -> usize;
    fn __host_error(error: *mut u8);
}

// For `memcmp`, which the compiler calls; nothing else of it is used.
#[link(name = "c")]
unsafe extern "C" {}

/// One call of the guest. The host says how long what it has is, and gives it when it is asked; 1 stands for an answer, 0
/// for an error.
#[unsafe(no_mangle)]
extern "C" fn __guest_call(operation_len: usize, payload_len: usize) -> i32 {
    let (mut operation, mut payload) = (Vec::with_capacity(operation_len), Vec::with_capacity(payload_len));
    // SAFETY: the host writes as many bytes as it has said, and there is room for them.
    unsafe {
        __guest_request(operation.as_mut_ptr(), payload.as_mut_ptr());
        operation.set_len(operation_len);
        payload.set_len(payload_len);
    }
    let answer = super::call(&operation, &payload);
    // SAFETY: the host reads as many bytes as it is told, before this returns.
    unsafe {
        match answer {
            Some(answer) => {
                __guest_response(answer.as_ptr(), answer.len());
                1
            }
            None => {
                let mut error = b"No handler registered for function ".to_vec();
                error.extend_from_slice(&operation);
                __guest_error(error.as_ptr(), error.len());
                0
            }
        }
    }
}

/// Calls the host: whether it answered, and its answer or its error.
pub(super) fn host_call(binding: &str, namespace: &str, operation: &str, payload: &str) -> (bool, Vec<u8>) {
    // SAFETY: the host reads as many bytes as it is told.
    let answered = unsafe {
        #[rustfmt::skip]
        let code = __host_call(
            binding.as_ptr(), binding.len(), namespace.as_ptr(), namespace.len(),
            operation.as_ptr(), operation.len(), payload.as_ptr(), payload.len(),
        );
        code == 1
    };
    // SAFETY: the host writes as many bytes as it has said, and there is room for them.
    unsafe {
        let len = if answered { __host_response_len() } else { __host_error_len() };
        let mut answer = Vec::with_capacity(len);
        if answered {
            __host_response(answer.as_mut_ptr())
        } else {
            __host_error(answer.as_mut_ptr())
        }
        answer.set_len(len);
        (answered, answer)
    }
}

/// A panic would be a fault of this program: the host is told of a trap. Texts and places of panics would be 10 KB.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
