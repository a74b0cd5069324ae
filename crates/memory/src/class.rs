//! Size classes: which sizes share a free list.
//!
//! Up to 128 bytes the classes are 16 bytes apart, above that there are four to each doubling, so that rounding wastes
//! at most a fifth of an object. 40 classes end at 32 KiB; what is bigger is not cached.

use std::alloc::Layout;

/// The alignment of every cached object: what the system allocator gives without being asked.
pub(crate) const ALIGN: usize = 2 * size_of::<usize>();

/// The number of classes.
pub(crate) const COUNT: usize = 40;

/// The size of the biggest class, in bytes.
pub(crate) const SIZE_MAX: usize = 32 * 1024;

const SMALL_MAX: usize = 128;
const SMALL_COUNT: usize = SMALL_MAX / 16;

const SIZES: [usize; COUNT] = {
    let mut sizes = [0; COUNT];
    let mut index = 0;
    while index < COUNT {
        sizes[index] = if index < SMALL_COUNT {
            (index + 1) * 16
        } else {
            let doubling = (index - SMALL_COUNT) / 4;
            let quarter = (index - SMALL_COUNT) % 4;
            (SMALL_MAX << doubling) / 4 * (5 + quarter)
        };
        index += 1;
    }
    sizes
};

/// A size class, as an index below [`COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(usize);

impl Class {
    /// The class that holds objects of `layout`, or `None` where the system allocator serves them directly.
    #[inline]
    pub(crate) fn of(layout: Layout) -> Option<Class> {
        if layout.align() > ALIGN || layout.size() > SIZE_MAX {
            return None;
        }
        Some(Class(index_of(layout.size())))
    }

    pub(crate) fn all() -> impl Iterator<Item = Class> {
        (0..COUNT).map(Class)
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// Bytes of an object of this class.
    #[inline]
    pub(crate) fn size(self) -> usize {
        SIZES[self.0]
    }

    /// What the system allocator is asked for.
    #[inline]
    pub(crate) fn layout(self) -> Layout {
        // SAFETY: ALIGN is a power of two and no class is anywhere near `isize::MAX`.
        unsafe { Layout::from_size_align_unchecked(self.size(), ALIGN) }
    }

    /// Objects that move between a thread and the others at once: 16 KiB of them, between 2 and 64.
    #[inline]
    pub(crate) fn batch(self) -> u32 {
        ((16 * 1024 / self.size()) as u32).clamp(2, 64)
    }
}

#[inline]
fn index_of(size: usize) -> usize {
    if size <= SMALL_MAX {
        // Nobody asks for 0 bytes of a GlobalAlloc; if somebody did, the smallest class would do.
        return size.saturating_sub(1) / 16;
    }
    let last = size - 1;
    let doubling = last.ilog2() as usize - SMALL_MAX.ilog2() as usize;
    let quarter = (last >> (doubling + SMALL_MAX.ilog2() as usize - 2)) & 3;
    SMALL_COUNT + doubling * 4 + quarter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_goes_into_the_smallest_class_that_holds_it() {
        for size in 1..=SIZE_MAX {
            let class = Class::of(Layout::from_size_align(size, 1).unwrap()).unwrap();
            assert!(
                class.size() >= size,
                "{size} does not fit into {}",
                class.size()
            );
            if class.index() > 0 {
                assert!(
                    SIZES[class.index() - 1] < size,
                    "{size} would fit into a smaller class"
                );
            }
        }
    }

    #[test]
    fn the_last_class_ends_at_the_limit_and_bigger_or_aligned_objects_have_none() {
        assert_eq!(SIZES[COUNT - 1], SIZE_MAX);
        assert_eq!(
            Class::of(Layout::from_size_align(SIZE_MAX + 1, 1).unwrap()),
            None
        );
        assert_eq!(
            Class::of(Layout::from_size_align(16, ALIGN * 2).unwrap()),
            None
        );
    }

    #[test]
    fn rounding_wastes_at_most_a_fifth_above_the_small_classes() {
        for size in SMALL_MAX + 1..=SIZE_MAX {
            let class = Class::of(Layout::from_size_align(size, 1).unwrap()).unwrap();
            assert!(
                (class.size() - size) * 5 <= class.size(),
                "{size} in {}",
                class.size()
            );
        }
    }
}
