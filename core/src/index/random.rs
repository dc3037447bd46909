//! The random exchange: one binding of all, each as likely as the others.

use alloc::vec::Vec;

use super::entries::Entry;

/// The bindings, in the order of their numbers. A queue that is bound twice is twice as likely, as in RabbitMQ.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lots(Vec<Entry>);

impl Lots {
    pub(crate) fn insert(&mut self, entry: Entry) {
        let at = self.0.partition_point(|other| other.binding < entry.binding);
        self.0.insert(at, entry);
    }

    pub(crate) fn remove(&mut self, entry: Entry) {
        if let Ok(at) = self.0.binary_search_by_key(&entry.binding, |other| other.binding) {
            self.0.remove(at);
        }
    }

    /// How many bindings there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the exchange is mixed in, so that two random exchanges on one way do not choose alike.
    pub(crate) fn draw(&self, exchange: &str, random: u64) -> Option<Entry> {
        let number = exchange.bytes().fold(mix(random), |number, byte| mix(number ^ u64::from(byte)));
        // The high half of the product is a number below the length, without the bias of a remainder.
        let at = (u128::from(number) * self.0.len() as u128) >> 64;
        self.0.get(at as usize).copied()
    }
}

/// The output function of SplitMix64: a bijection, so that random numbers stay random.
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{QueueId, id::BindingId};

    fn lots(count: u32) -> Lots {
        let mut lots = Lots::default();
        for at in (0..count).rev() {
            lots.insert(Entry::new(BindingId(at), QueueId(at).into()));
        }
        lots
    }

    #[test]
    fn every_binding_is_as_likely_as_the_others() {
        let lots = lots(7);
        let mut drawn = [0_u32; 7];
        for random in 0..70_000 {
            drawn[lots.draw("x", random).unwrap().binding.0 as usize] += 1;
        }
        // 10,000 each, with a standard deviation of 93.
        assert!(drawn.iter().all(|count| (9_500..10_500).contains(count)), "{drawn:?}");
        assert_eq!(Lots::default().draw("x", 1), None);
    }

    #[test]
    fn two_exchanges_choose_independently() {
        let lots = lots(2);
        let mut pairs = [0_u32; 4];
        for random in 0..40_000 {
            let [a, b] = ["one", "two"].map(|name| lots.draw(name, random).unwrap().binding.0);
            pairs[(2 * a + b) as usize] += 1;
        }
        assert!(pairs.iter().all(|count| (9_500..10_500).contains(count)), "{pairs:?}");
    }
}
