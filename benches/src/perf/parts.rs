//! What functions are for: the parts of a request that mean something to a reader.

use crate::perf::{Frame, Sample};

/// In the order of a request.
pub(crate) const ALL: [&str; 16] = [
    NETWORK,
    SCHEDULING,
    LOG_FILE,
    KERNEL_MEMORY,
    KERNEL,
    HANDSHAKE,
    RECORDS,
    HTTP,
    RUNTIME,
    READING,
    DECIDING,
    ANSWER,
    LOGGING,
    ALLOCATOR,
    COPIES,
    OTHER,
];

/// What a request costs between its bytes and the answer's.
pub(crate) const IN_THE_HANDLER: [&str; 7] =
    [READING, DECIDING, ANSWER, LOGGING, LOG_FILE, ALLOCATOR, COPIES];

const NETWORK: &str = "kernel's network stack";
const SCHEDULING: &str = "kernel's epoll, futex, scheduling";
const LOG_FILE: &str = "kernel's writing of the log line";
const KERNEL_MEMORY: &str = "kernel's memory";
const KERNEL: &str = "kernel's rest";
const HANDSHAKE: &str = "TLS handshake (key exchange, signature, hashes)";
const RECORDS: &str = "TLS records";
const HTTP: &str = "HTTP (hyper, connections, paths)";
pub(super) const RUNTIME: &str = "tokio's scheduling";
const READING: &str = "reading the review";
const DECIDING: &str = "deciding";
const ANSWER: &str = "patch and answer (base64)";
const LOGGING: &str = "log line and metrics";
pub(super) const ALLOCATOR: &str = "allocator";
pub(super) const COPIES: &str = "copying and comparing bytes";
pub(super) const OTHER: &str = "the rest";

/// Why it stays. [`OTHER`] is many things.
pub(crate) fn why(part: &str) -> &'static str {
    match part {
        NETWORK => {
            "over a kept connection one call that reads and one that writes for each review (one segment there and one back for 4 KB), and \
             in these what the kernel does for both ends of the loopback; over a new one two or three of each, and to accept and to \
             end it"
        }
        SCHEDULING => {
            "new connections wait for the other side's half of the handshake; kept ones wait in the call that reads"
        }
        LOG_FILE => "a line for each pod, many with each call, by a thread of its own",
        KERNEL_MEMORY => "pages that come back after a burst, or are there for the first time",
        KERNEL => "what the kernel does around these calls",
        HANDSHAKE => {
            "X25519, a signature with P-256 and SHA-256, in aws-lc's assembly; API servers resume no sessions, so nothing is left out"
        }
        RECORDS => "AES-128-GCM with the processor's instructions for it (aws-lc), and rustls around it",
        HTTP => "hyper, without layers between it and the handler, and the limits on time, room and turns",
        RUNTIME => "a task for each connection, until it is busy",
        READING => {
            "every byte is checked for UTF-8 and outlined, up to 64 together, and what is wanted is read: what is malformed is \
             refused wherever it is"
        }
        DECIDING => {
            "every container, volume and variable is looked at, and what was looked at is kept for whoever asks why"
        }
        ANSWER => "the patch as text, and that as Base64",
        LOGGING => "says why, for each pod",
        ALLOCATOR => {
            "what hyper and rustls take for each request and record, and the room for body and answer"
        }
        COPIES => {
            "from TLS to hyper, from there to one piece where a body came in several; the answer into its record"
        }
        _ => "",
    }
}

/// What is in the name of a function, by part. The first that fits counts; for the kernel, that fits any of a sample's
/// functions, for what they are called for says more than what they are.
pub(super) type Rules = &'static [Rule];
pub(super) type Rule = (&'static str, &'static [&'static str]);

#[rustfmt::skip]
const IN_THE_KERNEL: Rules = &[
    (NETWORK, &["tcp_", "inet_", "inet6_", "sock_", "net_rx_action", "_sys_recv", "_sys_send", "_sys_accept", "_sys_shutdown", "_sys_setsockopt"]),
    (SCHEDULING, &["epoll", "futex", "eventfd", "_sys_sched"]),
    (LOG_FILE, &["ksys_write", "_sys_write"]),
    (KERNEL_MEMORY, &["page_fault", "madvise", "mmap", "munmap", "_sys_brk", "mprotect"]),
    (SCHEDULING, &["schedule", "sysvec_", "irq"]),
];

#[rustfmt::skip]
pub(super) const IN_THE_C_LIBRARY: Rules = &[
    (ALLOCATOR, &["malloc", "free", "alloc", "unlink_chunk", "systrim", "heap_"]),
    (COPIES, &["mem", "bcmp", "strlen"]),
    // tokio weighs how long tasks took, with powers.
    (RUNTIME, &["pow"]),
];

/// Rust's part of the allocator.
#[rustfmt::skip]
pub(super) const ALLOCATION: Rule =
    (ALLOCATOR, &["__rust_alloc", "__rust_realloc", "__rust_dealloc", "__rdl_", "__rustc::", "alloc::raw_vec", "bumpalo"]);

#[rustfmt::skip]
const IN_THE_PROGRAM: Rules = &[
    ALLOCATION,
    (COPIES, &["memcpy", "memmove", "memset", "memcmp", "memchr"]),
    (RECORDS, &["gcm", "aes_hw", "AES_", "aead", "AEAD", "GcmMessage", "chacha", "poly1305", "tokio_rustls", "rustls::conn", "rustls::common_state", "rustls::record", "rustls::msgs::deframer", "rustls::msgs::message", "rustls::vecbuf"]),
    (HANDSHAKE, &["rustls", "webpki", "webhook::tls", "aws_lc_", "25519", "p256", "p384", "nistz", "_ec_", "ecdsa", "bignum", "_bn_", "sha256", "sha384", "sha512", "hmac", "hkdf", "mlkem", "ml_kem", "keccak", "Keccak", "asn1"]),
    (LOGGING, &["tracing", "webhook::log", "webhook::metrics", "webhook::admission::record", "prometheus", "sharded_slab", "jiff", "chrono"]),
    (READING, &["pod_identity_core::json::text::read"]),
    (ANSWER, &["base64", "json::text", "pod_identity_core::edit", "pod_identity_core::response", "pod_identity_core::message", "webhook::admission::answer", "core::fmt", "alloc::str::join"]),
    (READING, &["pod_identity_core::json", "pod_identity_core::review", "pod_identity_core::pod", "webhook::admission::review", "simdutf8", "from_utf8", "utf8_validation"]),
    (DECIDING, &["pod_identity_core", "webhook::admission", "webhook::facts", "webhook::configuration", "sip::Hasher", "arc_swap", "binary_heap"]),
    (HTTP, &["hyper", "http", "webhook::server", "webhook::router", "bytes::"]),
    (RUNTIME, &["tokio", "mio::", "parking_lot", "std::sync", "std::thread"]),
];

/// The part that a thread was in.
pub(crate) fn part(sample: &Sample<'_>) -> &'static str {
    let Some(leaf) = sample.first() else { return OTHER };
    if is_kernel(leaf) {
        let kernel: Vec<&str> =
            sample.iter().take_while(|frame| is_kernel(frame)).map(|frame| frame.symbol).collect();
        return find(IN_THE_KERNEL, &kernel).unwrap_or(KERNEL);
    }
    let rules = if leaf.is_in_a_library() { IN_THE_C_LIBRARY } else { IN_THE_PROGRAM };
    find(rules, &[leaf.symbol]).unwrap_or(OTHER)
}

pub(super) fn find(rules: Rules, symbols: &[&str]) -> Option<&'static str> {
    let fits = |names: &[&str]| names.iter().any(|name| symbols.iter().any(|symbol| symbol.contains(name)));
    rules.iter().find(|(_, names)| fits(names)).map(|(part, _)| *part)
}

/// The kernel and its modules are in brackets; so is what it lends to processes.
pub(super) fn is_kernel(frame: &Frame<'_>) -> bool {
    frame.file.starts_with('[') && !matches!(frame.file, "[vdso]" | "[unknown]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_reasons() {
        let without: Vec<&str> = ALL.into_iter().filter(|part| why(part).is_empty()).collect();
        assert_eq!(without, [OTHER]);
    }

    #[test]
    fn functions_belong_to_parts() {
        const KERNEL_FILE: &str = "[kernel.kallsyms]";
        let of = |symbols: &[&'static str], file: &'static str| {
            part(&symbols.iter().map(|symbol| Frame { symbol, file }).collect())
        };
        for (symbols, expected) in [
            (["copy_to_iter", "tcp_recvmsg_locked"], NETWORK),
            (["tcp_sendmsg_locked", "do_writev"], NETWORK),
            (["_raw_spin_unlock", "eventfd_write"], SCHEDULING),
            (["schedule", "do_epoll_wait"], SCHEDULING),
            (["ext4_da_write_begin", "ksys_write"], LOG_FILE),
            (["clear_page", "asm_exc_page_fault"], KERNEL_MEMORY),
            (["asm_sysvec_apic_timer_interrupt", ""], SCHEDULING),
            (["read_zero", "vfs_read"], KERNEL),
        ] {
            assert_eq!(of(&symbols, KERNEL_FILE), expected, "{symbols:?}");
        }
        for (symbol, expected) in [
            ("__memmove_avx512_unaligned_erms", COPIES),
            ("_int_free", ALLOCATOR),
            ("cfree@GLIBC_2.2.5", ALLOCATOR),
            ("__libc_recv", OTHER),
        ] {
            assert_eq!(of(&[symbol], "/usr/lib/x86_64-linux-gnu/libc.so.6"), expected, "{symbol}");
        }
        for (symbol, expected) in [
            ("aws_lc_0_47_0_aes_gcm_decrypt_avx512", RECORDS),
            ("<rustls::crypto::aws_lc_rs::tls13::GcmMessageEncrypter as x>::encrypt", RECORDS),
            ("tokio_rustls::common::Stream<IO,C>::read_io", RECORDS),
            ("Lcurve25519_x25519_scalarloop", HANDSHAKE),
            ("__ecp_nistz256_mul_montx", HANDSHAKE),
            ("<rustls::server::hs::ExpectClientHello as x>::handle", HANDSHAKE),
            ("<rustls::msgs::enums::NamedGroup as x>::read", HANDSHAKE),
            ("aws_lc_0_47_0_HMAC_Final", HANDSHAKE),
            ("aws_lc_0_47_0_CRYPTO_gcm128_aad", RECORDS),
            ("<hyper::proto::h1::role::Server as x>::parse", HTTP),
            ("webhook::router::Router::review::{{closure}}", HTTP),
            ("tokio::runtime::task::raw::poll", RUNTIME),
            ("pod_identity_core::json::outline::avx2::outline", READING),
            ("pod_identity_core::json::Scanner::string", READING),
            ("core::str::converts::from_utf8", READING),
            ("pod_identity_core::plan::Plans::plan", DECIDING),
            ("webhook::admission::Admission::attempt::{{closure}}", DECIDING),
            ("pod_identity_core::json::text::write_string", ANSWER),
            ("<base64::engine::general_purpose::GeneralPurpose as x>::internal_encode", ANSWER),
            ("webhook::admission::record::Record::publish", LOGGING),
            ("tracing_core::dispatcher::get_default", LOGGING),
            ("alloc::raw_vec::RawVecInner<A>::finish_grow", ALLOCATOR),
            ("main", OTHER),
        ] {
            assert_eq!(of(&[symbol], "/t/pod-identity-webhook"), expected, "{symbol}");
        }
        assert_eq!(of(&["__vdso_clock_gettime"], "[vdso]"), OTHER);
        assert_eq!(part(&vec![]), OTHER);
    }

    #[test]
    fn every_part_is_listed() {
        let rules = [IN_THE_KERNEL, IN_THE_C_LIBRARY, IN_THE_PROGRAM].concat();
        let of_rules = rules.iter().map(|(part, _)| *part);
        let missing: Vec<_> = of_rules.chain([KERNEL, OTHER]).filter(|part| !ALL.contains(part)).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
