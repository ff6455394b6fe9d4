//! Members by number and by id. Ids look drawn, so that no order of theirs is one of arrival.

use room::id::MemberId;

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The id of a member's number.
pub(super) fn id(number: u32) -> MemberId {
    MemberId::from((u64::from(number) + 1).wrapping_mul(SPREAD))
}

/// The number of a member's id; some number for any other id.
pub(super) fn number(id: MemberId) -> u32 {
    (id.to_u64().wrapping_mul(inverse(SPREAD)) as u32).wrapping_sub(1)
}

/// What an odd number is to be multiplied with to give one, by Newton: each step doubles the right bits.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number_ in [0, 1, 2, 77, 1_000_000, u32::MAX - 1] {
            assert_eq!(number(id(number_)), number_);
        }
        assert!(id(0) > id(1) || id(1) > id(2));
    }
}
