//! Where WebSocket frames end (RFC 6455 section 5.2), so that a frame of ours can be put between two of the upstream's.

/// Follows one direction of a WebSocket. It looks at lengths only.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; 14],
    seen: usize,
    payload: u64,
}

impl Frames {
    /// Whether the last frame is complete and no other has begun.
    pub fn at_boundary(&self) -> bool {
        self.seen == 0 && self.payload == 0
    }

    /// Follows all of `bytes`.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.step(bytes);
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Follows `bytes` to the end of the frame under way at most, and says how many belong to it.
    pub fn finish(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if self.at_boundary() {
                break;
            }
            used += self.step(rest);
        }
        used
    }

    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.payload > 0 {
            let taken = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= taken as u64;
            return taken;
        }
        let Some((&byte, slot)) = bytes.first().zip(self.head.get_mut(self.seen)) else { return bytes.len() };
        *slot = byte;
        self.seen += 1;
        if self.seen >= 2 && self.seen == self.head_length() {
            self.payload = self.length();
            self.seen = 0;
        }
        1
    }

    fn head_length(&self) -> usize {
        let [_, second, ..] = self.head;
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn length(&self) -> u64 {
        let [_, second, a, b, c, d, e, f, g, h, ..] = self.head;
        match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(0x55, length + if masked { 4 } else { 0 }));
        frame
    }

    proptest! {
        /// However the bytes are cut, only the ends of frames are boundaries, and `finish` stops at the next one.
        #[test]
        fn finds_every_boundary(
            lengths in prop::collection::vec((prop_oneof![0_usize..200, 65_500_usize..65_600], any::<bool>()), 1..4),
            at in any::<prop::sample::Index>(),
        ) {
            let frames: Vec<Vec<u8>> = lengths.iter().map(|&(length, masked)| frame(length, masked)).collect();
            let all = frames.concat();
            let mut ends = vec![0];
            for frame in &frames {
                ends.push(ends[ends.len() - 1] + frame.len());
            }
            let cut = at.index(all.len());
            let mut tracker = Frames::default();
            tracker.follow(&all[..cut]);
            prop_assert_eq!(tracker.at_boundary(), ends.contains(&cut));
            let next = ends.iter().find(|&&end| end >= cut).copied().unwrap();
            prop_assert_eq!(tracker.finish(&all[cut..]), next - cut);
            prop_assert!(tracker.at_boundary());
        }
    }
}
