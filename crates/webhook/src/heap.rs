//! Memory, and what bursts leave behind.

use std::alloc::{GlobalAlloc, Layout, System};
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::ptr;
use std::time::Duration;

/// How often what is free goes back. It takes microseconds when there is little, some milliseconds after a flood.
const INTERVAL: Duration = Duration::from_secs(10);

/// Gives memory that nobody uses back to the system, again and again.
///
/// glibc keeps it by itself wherever something lies behind that is still in use.
pub async fn give_back() -> Infallible {
    loop {
        tokio::time::sleep(INTERVAL).await;
        // Not on a thread that serves. It does not panic.
        let _ = tokio::task::spawn_blocking(trim).await;
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "it takes any number and may be called at any time")]
fn trim() {
    // It says whether there was anything.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Other allocators do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

/// What may lie free at an arena's end, in bytes. With glibc's 128 KiB it went back and was taken again all the time: there were 1.6 to 4
/// page faults for each review of 20 kB on a new connection. Of a thread's arena `malloc_trim` does not give it back either, so it is
/// no more than that.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 1 << 20;
/// From this size on an allocation has pages of its own, which go back with it, in bytes. glibc would begin with 128 KiB and raise
/// that, and twice as much for the other, to the largest that was freed; but no more once the other is set.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED: libc::c_int = 1 << 20;

/// Keeps what one request took for the next. To be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "they take what is documented, and may be called at any time")]
pub fn keep() {
    // They say whether they took it.
    let _ = unsafe {
        (libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT), libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED))
    };
}

/// Others have no such limit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep() {}

/// The system's allocator, but that what becomes much smaller moves, and that buffers of whole pages do not lie page on page.
///
/// glibc leaves what shrinks where it is, at the head of what it has given up. With a thousand connections, whose buffers grow
/// for a review of 20 kB and shrink after it, that made a thousand holes that little fitted into: 46 MB instead of 26.
#[derive(Debug)]
pub struct Heap;

/// What is smaller fits anywhere. What is larger has pages of its own.
const LARGE: RangeInclusive<usize> = 8 << 10..=128 << 10;

/// What may be as long as a page or some, as buffers are.
const PAGES: RangeInclusive<usize> = 4 << 10..=128 << 10;
/// A quarter of a page and a cache line, so that the fourth neighbour lies elsewhere too.
const STAGGER: usize = 1024 + 64;

/// As many bytes as are asked for, and for a buffer of pages some more, so that the next one begins elsewhere in its page.
///
/// glibc copies what is long by `rep movsb`, which some of AMD's processors do slowly when the target lies a few bytes further
/// in its page than the source (<https://sourceware.org/bugzilla/show_bug.cgi?id=30994>): 16 KiB in 4.7 µs instead of 0.2 when
/// these are eleven. rustls copies what it has decrypted from behind a record's head in one buffer into the buffer behind that:
/// by perf 5.9 % of the time of a review of 20 kB before, and 0.5 % since.
fn staggered(size: usize) -> usize {
    if PAGES.contains(&size) { size + STAGGER } else { size }
}

/// What buffers for a TLS record may come to.
///
/// rustls' grows for each record anew, by 4 KiB at a time, and becomes small again: a long record was copied three times on the
/// way. So what grows from page to page takes room for all of it with its first step.
const GROWING: RangeInclusive<usize> = 4 << 10..=32 << 10;

/// How many bytes may be used of what was allocated, as far as it is known.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "it takes what `malloc` gave")]
unsafe fn usable(ptr: *mut u8) -> usize {
    unsafe { libc::malloc_usable_size(ptr.cast()) }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[allow(unsafe_code, reason = "as the other one")]
unsafe fn usable(_: *mut u8) -> usize {
    0
}

#[allow(
    unsafe_code,
    reason = "each call is handed on as it came or for some bytes more, or there is room, or it is the default of the trait"
)]
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(Layout::from_size_align_unchecked(staggered(layout.size()), layout.align())) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if new_size > layout.size() && GROWING.contains(&layout.size()) && GROWING.contains(&new_size) {
            if unsafe { usable(ptr) } >= new_size {
                return ptr;
            }
            return unsafe { System.realloc(ptr, layout, staggered(*GROWING.end())) };
        }
        if !LARGE.contains(&layout.size()) || new_size > layout.size() / 2 {
            return unsafe { System.realloc(ptr, layout, staggered(new_size)) };
        }
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(ptr, new, new_size);
                self.dealloc(ptr, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "an allocator is called with the layouts that it gave memory for")]
    fn buffers_of_pages_take_a_little_more() {
        // What is larger is rounded up to pages, so it could not be seen.
        let is_staggered = |ptr, size: usize| unsafe { usable(ptr) } >= size + STAGGER;
        for (size, expected) in
            [(100, false), (4000, false), (4096, true), (24 << 10, true), (96 << 10, true)]
        {
            let layout = |size| Layout::from_size_align(size, 1).unwrap();
            unsafe {
                let new = Heap.alloc(layout(size));
                assert_eq!(is_staggered(new, size), expected, "{size}");
                Heap.dealloc(new, layout(size));
                let grown = Heap.realloc(Heap.alloc(layout(64)), layout(64), size);
                assert_eq!(is_staggered(grown, size), expected, "64 to {size}");
                Heap.dealloc(grown, layout(size));
            }
        }
        assert_eq!([usize::MAX, (128 << 10) + 1].map(staggered), [usize::MAX, (128 << 10) + 1]);
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn what_a_request_took_is_there_for_the_next() {
        /// How often this thread had to get a page from the system.
        fn faults() -> u64 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            fields.split(' ').nth(7).unwrap().parse().unwrap()
        }
        keep();
        let counts = std::thread::spawn(|| {
            let request = |_| {
                let before = faults();
                let buffers = [96 << 10, 200 << 10].into_iter().cycle().map(|size| vec![1_u8; size]);
                std::hint::black_box(buffers.take(6).collect::<Vec<_>>());
                faults() - before
            };
            (0..4).map(request).collect::<Vec<_>>()
        });
        let counts = counts.join().unwrap();
        assert!(counts[0] > 200 && counts[3] < 50, "{counts:?}");
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "an allocator is called with the layouts that it gave memory for")]
    fn what_grows_from_page_to_page_is_copied_once() {
        let layout = |size| Layout::from_size_align(size, 1).unwrap();
        let bytes: Vec<u8> = (0..4096).map(|i| (i / 7) as u8).collect();
        unsafe {
            let old = Heap.alloc(layout(4096));
            old.copy_from(bytes.as_ptr(), 4096);
            // So that it cannot grow where it is.
            let behind = Heap.alloc(layout(4096));
            let first = Heap.realloc(old, layout(4096), 8192);
            assert!(usable(first) >= 32768);
            let mut sizes = [8192, 16384, 32768].windows(2).map(|pair| (pair[0], pair[1]));
            assert!(sizes.all(|(size, larger)| Heap.realloc(first, layout(size), larger) == first));
            assert_eq!(std::slice::from_raw_parts(first, 4096), bytes);
            Heap.dealloc(first, layout(32768));
            Heap.dealloc(behind, layout(4096));
            let large = Heap.realloc(Heap.alloc(layout(32768)), layout(32768), 65536);
            assert!(usable(large) >= 65536);
            Heap.dealloc(large, layout(65536));
        }
    }

    #[test]
    #[allow(unsafe_code, reason = "an allocator is called with the layouts that it gave memory for")]
    fn what_becomes_much_smaller_moves_with_what_it_holds() {
        let layout = |size| Layout::from_size_align(size, 1).unwrap();
        let cases = [
            (32 << 10, 4 << 10, true),
            (8 << 10, 4 << 10, true),
            (32 << 10, 24 << 10, false),
            (100, 10, false),
        ];
        for (size, new_size, moves) in cases {
            let bytes: Vec<u8> = (0..size).map(|i| (i / 7) as u8).collect();
            unsafe {
                let old = Heap.alloc(layout(size));
                old.copy_from(bytes.as_ptr(), size);
                let new = Heap.realloc(old, layout(size), new_size);
                assert_eq!(new.addr() != old.addr(), moves, "{size} to {new_size}");
                assert_eq!(std::slice::from_raw_parts(new, new_size), &bytes[..new_size]);
                Heap.dealloc(new, layout(new_size));
            }
        }
    }
}
