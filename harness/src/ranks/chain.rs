//! A sum over ranks, in their order, to the same bits as on one.
//!
//! ```text
//! rank 0       rank 1       rank 2
//!   s0  ------>  + s1 ------>  + s2      the sum so far, piece after piece
//!    <----------  <----------            the whole sum, one piece behind
//! ```
//! A rank has its parts one by one, not their sum, since `(s + c) + d` is not `s + (c + d)`. So the
//! sums must pass the ranks in order. Each number goes over each link twice, once up and once down:
//! a rank sends `4 n` bytes at an end of the chain, `8 n` within. (If each rank owned a share of the
//! elements, all parts of all ranks would have to come to it one by one: of eight parts up to
//! `10 n` bytes a rank with two ranks, `10.7 n` with three, `9 n` with four.) Neighbours exchange a
//! piece up for one down, so both ways of a link are busy at once, and all ranks add at once. With K
//! pieces it takes about `K + 1` such exchanges with two ranks, `2 K + P` with P ranks.
//!
//! It begins when a rank's own parts are done. Before, in the backward pass of the last part, only
//! that part's last layers could go, a small share of the time where several parts are summed; and
//! no library makes progress without a call into it.
//!
//! Deadlock: round `i` of the link between ranks `r` and `r + 1` waits only for rounds before it and
//! for round `i` of the link below, so the rounds can be sorted.

use std::ops::Range;

use super::COUNTS;
use super::link::Link;

/// Floats of a piece: 48 KiB, which is long against the latency and short against a gradient. Over
/// TCP Open MPI sends up to 64 KiB at once; before a longer message it asks, and 64 KiB then take
/// 0.86 ms on a link of 1 Gbit/s instead of 0.53.
const PIECE: usize = 12 << 10;

/// Floats that carry the counts and the signal, 16 bits each: every one exact.
const TAIL: usize = 4 * COUNTS + 1;

/// Sums `target` and the counts over the ranks; also the largest of the ranks' signals.
pub fn fold(
    link: &Link,
    target: &mut [f32],
    signal: usize,
    count: &mut dyn FnMut(&mut [u64; COUNTS]),
    add: &mut dyn FnMut(Range<usize>, &mut [f32]),
) -> ([u64; COUNTS], usize) {
    let (rank, ranks) = (link.rank(), link.count());
    let mut tail = [0.0; TAIL];
    let mut pieces: Vec<&mut [f32]> = target.chunks_mut(PIECE).collect();
    pieces.push(&mut tail);
    let last = pieces.len() - 1;
    // A piece comes back to this rank so many rounds after it has gone up.
    let behind = ranks - 1 - rank;
    for round in 0..pieces.len() + ranks {
        let up = (round < pieces.len()).then_some(round);
        let down = |behind: usize| round.checked_sub(behind).filter(|piece| *piece <= last);
        if rank > 0 {
            let (send, receive) = two(&mut pieces, down(behind + 1), up);
            link.exchange(rank - 1, send, receive);
        }
        if let Some(piece) = up {
            match piece == last {
                false => {
                    let start = piece * PIECE;
                    add(start..start + pieces[piece].len(), pieces[piece]);
                }
                true => {
                    let (mut counts, before) = unpack(pieces[piece]);
                    count(&mut counts);
                    pack(&counts, before.max(signal), pieces[piece]);
                }
            }
        }
        if rank + 1 < ranks {
            let (send, receive) = two(&mut pieces, up, down(behind));
            link.exchange(rank + 1, send, receive);
        }
    }
    unpack(&tail)
}

/// The piece to send and another one to receive into.
fn two<'p>(
    pieces: &'p mut [&mut [f32]],
    send: Option<usize>,
    receive: Option<usize>,
) -> (Option<&'p [f32]>, Option<&'p mut [f32]>) {
    match (send, receive) {
        (Some(send), Some(receive)) => {
            let [send, receive] = pieces
                .get_disjoint_mut([send, receive])
                .expect("a piece is not on its way up and down at once");
            (Some(send), Some(receive))
        }
        (Some(send), None) => (Some(&*pieces[send]), None),
        (None, Some(receive)) => (None, Some(&mut *pieces[receive])),
        (None, None) => (None, None),
    }
}

fn pack(counts: &[u64; COUNTS], signal: usize, tail: &mut [f32]) {
    for (floats, count) in tail.chunks_exact_mut(4).zip(counts) {
        for (k, float) in floats.iter_mut().enumerate() {
            *float = f32::from((count >> (16 * k)) as u16);
        }
    }
    tail[TAIL - 1] = f32::from(signal as u16);
}

fn unpack(tail: &[f32]) -> ([u64; COUNTS], usize) {
    let mut counts = [0; COUNTS];
    for (floats, count) in tail.chunks_exact(4).zip(&mut counts) {
        for (k, float) in floats.iter().enumerate() {
            *count |= (*float as u64) << (16 * k);
        }
    }
    (counts, tail[TAIL - 1] as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_through_floats_whole() {
        let counts = [u64::MAX, f64::NAN.to_bits(), 0x0123_4567_89ab_cdef];
        let mut tail = [0.0; TAIL];
        pack(&counts, 15, &mut tail);
        assert_eq!(unpack(&tail), (counts, 15));
    }
}
