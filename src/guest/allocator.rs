//! Memory for an instance that serves one call: handed out from the end of the heap, and given back with the
//! instance. The last piece grows where it is, so that a text or a list that is being built is not copied.
//!
//! Against the allocator that comes with the target, this is 10 KB less to load, and fewer instructions.

#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;
use core::ptr::{copy_nonoverlapping, null_mut};

const PAGE: usize = 65_536;

unsafe extern "C" {
    /// Where the stack and what is static end; set by the linker. The host's pages after it are there from the start, for each
    /// call to grow the memory is one of the operating system.
    static __heap_base: u8;
}

/// At the start of a page of the host's, whose rest is what is handed out first: each page that is written costs a fresh
/// instance about a microsecond.
#[repr(C, align(4096))]
struct Heap {
    /// The next free byte.
    next: Cell<usize>,
    /// The first byte that is not ours.
    end: Cell<usize>,
    /// The rest of the page.
    first: [Cell<u8>; 4096 - 2 * size_of::<usize>()],
}

// SAFETY: a module without the threads proposal has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    next: Cell::new(0),
    end: Cell::new(0),
    first: [const { Cell::new(0) }; 4096 - 2 * size_of::<usize>()],
};

impl Heap {
    /// Makes sure that there is room for so many more bytes from a start.
    fn reserve(&self, start: usize, size: usize) -> Option<usize> {
        let end = start.checked_add(size)?;
        if end > self.end.get() {
            let pages = (end - self.end.get()).div_ceil(PAGE);
            let before = memory_grow(0, pages);
            // Nobody else grows the memory of this module, so the new pages follow the ones that are ours.
            if before == usize::MAX {
                return None;
            }
            self.end.set((before + pages) * PAGE);
        }
        self.next.set(end);
        Some(end)
    }
}

// SAFETY: pieces do not overlap, for `next` never goes back below the end of one that is in use.
unsafe impl GlobalAlloc for Heap {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.end.get() == 0 {
            let (first, base) = (self.first.as_ptr().addr(), (&raw const __heap_base).addr());
            // Nothing stands between them when the linker has put this last.
            self.next.set(if first + self.first.len() == base { first } else { base });
            self.end.set(memory_size(0) * PAGE);
        }
        let start = self.next.get().next_multiple_of(layout.align());
        if self.reserve(start, layout.size()).is_some() { start as *mut u8 } else { null_mut() }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    /// Nothing is handed out twice, and fresh memory is zero.
    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { self.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size <= layout.size() {
            return piece;
        }
        let start = piece as usize;
        if start + layout.size() == self.next.get() {
            return if self.reserve(start, size).is_some() { piece } else { null_mut() };
        }
        // SAFETY: the caller has made sure of the old piece and of the layout; the new piece is another one.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                copy_nonoverlapping(piece, new, layout.size());
            }
            new
        }
    }
}
