use alloc::vec::Vec;

/// A set of small numbers that is emptied in constant time: a number is in it if its stamp is the current epoch.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    epoch: u32,
    stamps: Vec<u32>,
}

impl Stamps {
    /// Empties the set and makes room for the numbers below `size`.
    pub(crate) fn clear(&mut self, size: usize) {
        if self.stamps.len() < size {
            self.stamps.resize(size, 0);
        }
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // The epoch came round: stamps of four billion calls ago would look current.
            self.stamps.fill(0);
            self.epoch = 1;
        }
    }

    /// Adds a number; false if it was there already, or has no room.
    #[inline]
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        match self.stamps.get_mut(number as usize) {
            Some(stamp) if *stamp != self.epoch => {
                *stamp = self.epoch;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_epoch_coming_round() {
        let mut stamps = Stamps { epoch: u32::MAX - 1, stamps: Vec::new() };
        stamps.clear(2);
        assert!(stamps.insert(1) && !stamps.insert(1));
        stamps.clear(2);
        assert!(stamps.insert(1) && !stamps.insert(1) && stamps.insert(0));
        assert!(!stamps.insert(2));
    }
}
