//! Where the frames of a tunnelled WebSocket end.

use crate::upstream::Frames;

/// However the bytes are cut, a boundary is where a frame of RFC 6455 section 5.2 ends, and finishing a frame takes exactly its rest.
pub fn frames(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let ends = ends(stream);
    let mut each = Frames::default();
    for (at, byte) in stream.iter().enumerate() {
        each.follow(std::slice::from_ref(byte));
        assert_eq!(each.at_boundary(), ends.contains(&(at + 1)), "after {} bytes", at + 1);
    }
    let cut = usize::from(cut).min(stream.len());
    let mut frames = Frames::default();
    frames.follow(&stream[..cut]);
    assert_eq!(frames.at_boundary(), cut == 0 || ends.contains(&cut));
    let rest = frames.finish(&stream[cut..]);
    match ends.iter().find(|end| **end >= cut) {
        _ if cut == 0 => assert_eq!(rest, 0),
        Some(end) => assert_eq!((rest, frames.at_boundary()), (end - cut, true)),
        None => assert_eq!((rest, frames.at_boundary()), (stream.len() - cut, false)),
    }
}

fn ends(stream: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0_usize);
    while let Some([_, second]) = stream.get(at..).and_then(<[u8]>::first_chunk::<2>) {
        let (more, mask) = (&stream[at + 2..], if second & 0x80 == 0 { 0 } else { 4 });
        let (extended, length) = match second & 0x7f {
            126 => (2, more.first_chunk::<2>().map(|length| u64::from(u16::from_be_bytes(*length)))),
            127 => (8, more.first_chunk::<8>().map(|length| u64::from_be_bytes(*length))),
            short => (0, Some(u64::from(short))),
        };
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else { break };
        let Some(end) = at.checked_add(2 + extended + mask).and_then(|head| head.checked_add(length)) else { break };
        if end > stream.len() {
            break;
        }
        ends.push(end);
        at = end;
    }
    ends
}
