//! What a courier has several of: streams and links, by the place that they are named by.

use smallvec::SmallVec;

/// Things in numbered places. A place that is free is taken again, the last first.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

/// Makes room for more things, and little beyond: a member has a few large ones on each of its links, and there may be very
/// many members.
pub(super) fn make_room<T>(things: &mut Vec<T>, more: usize) {
    let needed = things.len() + more;
    if needed > things.capacity() {
        things.reserve_exact(more + needed / 4);
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, thing: T) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            make_room(&mut self.places, 1);
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(thing);
        place
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<T> {
        let thing = self.places.get_mut(place)?.take();
        if thing.is_some() {
            self.free.push(place);
        }
        thing
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.places.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.places.get_mut(place)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> + Clone {
        self.places.iter().enumerate().filter_map(|(place, thing)| Some((place, thing.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(place, thing)| Some((place, thing.as_mut()?)))
    }

    /// One above the highest place that ever was taken.
    pub(super) fn end(&self) -> usize {
        self.places.len()
    }

    /// The places that are taken now.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + use<T> {
        // Of most there are few, and this is asked for each frame.
        let taken: SmallVec<[usize; 16]> = self.iter().map(|(place, _)| place).collect();
        taken.into_iter()
    }
}

impl<T> std::ops::Index<usize> for Slab<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        self.places[place].as_ref().expect("a place is used only while it is taken")
    }
}

impl<T> std::ops::IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        self.places[place].as_mut().expect("a place is used only while it is taken")
    }
}
