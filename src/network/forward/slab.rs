//! Things by number, where a number that was just freed may still be named by an event that waits to be looked at.

/// A list with holes. A freed number is given out again only after [`Slab::settle`].
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<usize>,
    freed: Vec<usize>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), free: Vec::new(), freed: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len() - self.freed.len()
    }

    pub(super) fn insert(&mut self, item: T) -> usize {
        if let Some(index) = self.free.pop()
            && let Some(place) = self.items.get_mut(index)
        {
            *place = Some(item);
            return index;
        }
        self.items.push(Some(item));
        self.items.len() - 1
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.items.get_mut(index)?.as_mut()
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<T> {
        let item = self.items.get_mut(index)?.take()?;
        self.freed.push(index);
        Some(item)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }

    /// No event names a freed number any more.
    pub(super) fn settle(&mut self) {
        self.free.append(&mut self.freed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rests_before_it_is_used_again() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!((slab.remove(a), slab.len()), (None, 1));
        assert!(slab.get_mut(a).is_none());
        let c = slab.insert('c');
        assert!(c != a && c != b);
        slab.settle();
        assert_eq!(slab.insert('d'), a);
        assert_eq!(slab.iter().map(|(_, item)| *item).collect::<String>(), "dbc");
    }
}
