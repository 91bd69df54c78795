//! Places that packets will ask for which were put off (`bulk.rs`).

/// Most places; more are no harm, and are not read ahead. The kernel collects 16 frames for an interface.
const PLACES: usize = 32;

/// Places, in the order in which they were noted.
#[repr(C)]
pub struct Expected {
    places: [u32; PLACES],
    count: u32,
}

impl Expected {
    /// One more.
    #[inline(always)]
    pub fn note(&mut self, place: u32) {
        self.places[self.count as usize & (PLACES - 1)] = place;
        self.count = self.count.wrapping_add(1);
    }

    /// How many were noted.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Those that there were; then there are none.
    #[inline(always)]
    pub fn take(&mut self) -> impl Iterator<Item = &u32> {
        let count = self.count as usize;
        self.count = 0;
        // The bound first: the verifier follows each number of places.
        self.places.iter().enumerate().take_while(move |(at, _)| *at < count).map(|(_, place)| place)
    }
}
