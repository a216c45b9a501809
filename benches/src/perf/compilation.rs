//! What functions of Wasmtime are for when it compiles a module: parts of a compiler.

use super::{
    Sample,
    parts::{ALLOCATION, ALLOCATOR, COPIES, IN_THE_C_LIBRARY, OTHER, Rules, find, is_kernel},
};

/// In the order of compilation.
pub(crate) const ALL: [&str; 10] =
    [READING, OPTIMISING, REPRESENTATION, CHOOSING, REGISTERS, COLLECTIONS, ALLOCATOR, COPIES, KERNEL, OTHER];

const READING: &str = "checking WebAssembly, and translating it";
const OPTIMISING: &str = "optimising";
const REPRESENTATION: &str = "values and blocks";
const CHOOSING: &str = "choosing and writing instructions";
const REGISTERS: &str = "register allocation";
const COLLECTIONS: &str = "maps, lists and the rest of Rust's library";
const KERNEL: &str = "kernel";

/// Why it stays. [`OTHER`] is many things.
pub(crate) fn why(part: &str) -> &'static str {
    match part {
        READING => {
            "wasmparser and Wasmtime: each instruction is checked, and where memory is read or written an address made"
        }
        OPTIMISING => "Cranelift's e-graphs, switched on as in policy-server",
        REPRESENTATION => "Cranelift's own form of each function, which all of the others read",
        CHOOSING => "Cranelift: an instruction of the processor for each that is left",
        REGISTERS => "regalloc2: goes with values, and with the calls over which they are kept",
        COLLECTIONS => "of all of them, in generic functions of their own",
        ALLOCATOR | COPIES => "of all of them",
        KERNEL => "memory for what is compiled and for the code, and threads that wait for each other",
        _ => "",
    }
}

#[rustfmt::skip]
const IN_THE_PROGRAM: Rules = &[
    // Otherwise `rayon_core::` would be taken for `core::`.
    (OTHER, &["rayon", "crossbeam"]),
    (REGISTERS, &["regalloc2"]),
    (OPTIMISING, &["cranelift_codegen::egraph", "cranelift_codegen::opts", "cranelift_codegen::alias_analysis", "cranelift_codegen::remove_constant_phis", "cranelift_codegen::unreachable_code", "cranelift_codegen::loop_analysis", "cranelift_codegen::dominator_tree", "cranelift_codegen::ranges", "cranelift_codegen::unionfind", "cranelift_codegen::ctxhash", "cranelift_codegen::scoped_hash_map"]),
    (CHOOSING, &["cranelift_codegen::machinst", "cranelift_codegen::isa", "cranelift_assembler", "cranelift_codegen::inst_predicates", "cranelift_codegen::legalizer", "cranelift_control"]),
    (REPRESENTATION, &["cranelift_codegen", "cranelift_entity", "cranelift_bforest", "cranelift_bitset"]),
    (READING, &["wasmparser", "cranelift_frontend", "wasmtime"]),
    ALLOCATION,
    (COLLECTIONS, &["hashbrown", "alloc::", "smallvec", "SmallVec", "core::", "sip::Hasher", "std::hash", "rustc_hash", "indexmap"]),
];

/// The part that a thread was in.
pub(crate) fn part(sample: &Sample<'_>) -> &'static str {
    let Some(leaf) = sample.first() else { return OTHER };
    if is_kernel(leaf) {
        return KERNEL;
    }
    let rules = if leaf.is_in_a_library() { IN_THE_C_LIBRARY } else { IN_THE_PROGRAM };
    find(rules, &[leaf.symbol]).filter(|part| ALL.contains(part)).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::{Frame, parts::RUNTIME};

    #[test]
    fn parts_have_reasons() {
        let without: Vec<&str> = ALL.into_iter().filter(|part| why(part).is_empty()).collect();
        assert_eq!(without, [OTHER]);
    }

    #[test]
    fn functions_belong_to_parts() {
        for (symbol, file, expected) in [
            (
                "regalloc2::ion::<impl regalloc2::ion::data_structures::Env<F>>::run",
                "/t/policy-host",
                REGISTERS,
            ),
            ("cranelift_codegen::egraph::elaborate::Elaborator::elaborate", "/t/policy-host", OPTIMISING),
            ("<cranelift_codegen::isa::x64::X64Backend as x>::compile_function", "/t/policy-host", CHOOSING),
            ("cranelift_codegen::ctxhash::CtxHashMap<K,V>::insert", "/t/policy-host", OPTIMISING),
            ("cranelift_codegen::ir::dfg::DataFlowGraph::value_def", "/t/policy-host", REPRESENTATION),
            (
                "wasmtime_internal_cranelift::translate::code_translator::translate_operator",
                "/t/policy-host",
                READING,
            ),
            ("hashbrown::map::HashMap<K,V,S,A>::insert", "/t/policy-host", COLLECTIONS),
            ("alloc::raw_vec::RawVecInner<A>::finish_grow", "/t/policy-host", ALLOCATOR),
            ("_int_free", "/usr/lib/x86_64-linux-gnu/libc.so.6", ALLOCATOR),
            ("__memmove_avx512_unaligned_erms", "/usr/lib/x86_64-linux-gnu/libc.so.6", COPIES),
            ("pow", "/usr/lib/x86_64-linux-gnu/libm.so.6", OTHER),
            ("rayon_core::registry::WorkerThread::find_work", "/t/policy-host", OTHER),
            ("clear_page_erms", "[kernel.kallsyms]", KERNEL),
            ("main", "/t/policy-host", OTHER),
        ] {
            assert_eq!(part(&vec![Frame { symbol, file }]), expected, "{symbol}");
        }
        assert_eq!(part(&vec![]), OTHER);
    }

    #[test]
    fn every_part_is_listed() {
        let rules = [IN_THE_C_LIBRARY, IN_THE_PROGRAM].concat();
        let of_rules = rules.iter().map(|(part, _)| *part);
        let others: Vec<_> = of_rules.chain([KERNEL, OTHER]).filter(|part| !ALL.contains(part)).collect();
        // Whoever compiles has no tokio: see [`part`].
        assert_eq!(others, [RUNTIME]);
    }
}
