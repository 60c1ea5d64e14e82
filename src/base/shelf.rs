//! What other layers keep with a thing that is not theirs.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

/// At most one thing of each type. Reading takes no lock, and the types of a program bound its length.
#[derive(Default)]
pub struct Shelf {
    item: OnceLock<Box<dyn Any + Send + Sync>>,
    next: OnceLock<Box<Shelf>>,
}

impl Shelf {
    /// The thing of this type, made at the first call.
    pub fn get_or_put<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> &T {
        let mut make = Some(make);
        let mut place = self;
        loop {
            // The first to come fills the place; whoever finds another type there goes on to the next.
            let item = place.item.get_or_init(|| match make.take() {
                Some(make) => Box::new(make()),
                // Not reached: a place filled by this call holds the type that this call asked for.
                None => Box::new(()),
            });
            if let Some(item) = item.downcast_ref() {
                return item;
            }
            place = place.next.get_or_init(Box::default);
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_place() {
        let shelf = Shelf::default();
        assert_eq!(*shelf.get_or_put(|| 1_u8), 1);
        assert_eq!(*shelf.get_or_put(|| "text"), "text");
        assert_eq!(*shelf.get_or_put(|| 2_u8), 1);
        assert_eq!(*shelf.get_or_put(|| "other"), "text");
    }
}
