//! What a member that comes back tells the hub of what it knows, as far as that goes into one message.

use std::collections::BTreeMap;

use crate::{
    id::MemberId,
    limits,
    wire::signal::{ClientMessage, Join, Resume, StateEntry},
};

/// What `,"up":[]` and `,"state":{}` take.
const LISTS_BYTES: usize = 19;
/// What an id in `up` takes, with its quotes and a comma.
const ID_BYTES: usize = 19;

/// The `join` of a member that comes back, and those of `up` that it has no room for.
///
/// Links come first. Of the state, where not all of it fits, each member begins with the entry that its id points to, in
/// the order of the keys, and takes what fits: so different members leave out different entries, and a hub that has
/// nothing but what they bring gets all of them.
pub(super) fn resume(
    mut join: Join,
    hub: String,
    (topology, pin): (&str, Option<&str>),
    next: u64,
    mut up: Vec<MemberId>,
    state: &BTreeMap<String, StateEntry>,
) -> (ClientMessage, Vec<MemberId>) {
    let first = join.secret.member_id().to_u64() >> 32;
    // A mesh is what a hub begins with anyway.
    let topology = (!topology.is_empty() && topology != super::links::MESH).then(|| topology.to_owned());
    join.resume = Some(Resume { hub, topology, pin: pin.map(str::to_owned), next, ..Resume::default() });
    let bare = ClientMessage::Join(join.clone()).encode().len() + LISTS_BYTES;
    let mut room = limits::SIGNAL_MAX.saturating_sub(bare);

    let left_out = up.split_off(up.len().min(room / ID_BYTES));
    room -= up.len() * ID_BYTES;

    let mut taken = BTreeMap::new();
    let first = usize::try_from(first).ok().and_then(|first| first.checked_rem(state.len())).unwrap_or(0);
    for (key, entry) in state.iter().cycle().skip(first).take(state.len()) {
        let bytes = entry_bytes(key, entry);
        if bytes <= room {
            room -= bytes;
            taken.insert(key.clone(), entry.clone());
        }
    }
    if let Some(resume) = &mut join.resume {
        resume.up = up;
        resume.state = taken;
    }
    (ClientMessage::Join(join), left_out)
}

/// What an entry takes, with a colon and a comma.
fn entry_bytes(key: &str, entry: &StateEntry) -> usize {
    let bytes = |json: Result<String, serde_json::Error>| json.expect("texts and entries have a JSON form").len();
    bytes(serde_json::to_string(key)) + bytes(serde_json::to_string(entry)) + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::Secret,
        wire::signal::{Json, Token, VERSION},
    };

    fn join(number: u8) -> Join {
        let attributes = (0..32).map(|n| (format!("attribute-{n:02}"), "a".repeat(116))).collect();
        Join {
            v: VERSION,
            secret: Secret([number; 16]),
            key: None,
            name: "n".repeat(limits::NAME_MAX),
            attributes,
            token: None,
            topology: None,
            agent: None,
            relay: None,
            resume: None,
        }
    }

    /// Everything that a room's state may hold.
    fn full_state(key: impl Fn(usize) -> String) -> BTreeMap<String, StateEntry> {
        let entry = |n| {
            let key = key(n);
            let value = "v".repeat(limits::STATE_BYTES / limits::STATE_ENTRIES - key.len() - 2);
            (key, StateEntry { value: Json::from(&value).expect("a text"), version: (1 << 53) - 1 })
        };
        (0..limits::STATE_ENTRIES).map(entry).collect()
    }

    fn up() -> Vec<MemberId> {
        (0..limits::ROOM_MEMBERS as u64).map(MemberId::from).collect()
    }

    fn known(message: &ClientMessage) -> &Resume {
        let ClientMessage::Join(Join { resume: Some(resume), .. }) = message else { panic!("{message:?}") };
        resume
    }

    #[test]
    fn what_fits_goes_whole() {
        let state = full_state(|n| format!("key-{n:03}"));
        let (message, left_out) =
            resume(join(1), "00000000000000aa".to_owned(), ("mesh", None), 1, up()[..500].to_vec(), &state);
        assert_eq!((known(&message).up.len(), &known(&message).state), (500, &state));
        assert_eq!(left_out, []);
    }

    #[test]
    fn what_does_not_fit_is_left_out_by_each_member_elsewhere() {
        let state = full_state(|n| format!("key-{n:03}"));
        let missing = |number| -> Vec<String> {
            let (message, left_out) =
                resume(join(number), "00000000000000aa".to_owned(), ("mesh", None), 1, up(), &state);
            let text = message.encode();
            assert!((limits::SIGNAL_MAX - 250..=limits::SIGNAL_MAX).contains(&text.len()), "{} B", text.len());
            assert_eq!(ClientMessage::decode(&text), Ok(message.clone()));
            assert_eq!((known(&message).up.len(), left_out.len()), (limits::ROOM_MEMBERS, 0));
            state.keys().filter(|key| !known(&message).state.contains_key(*key)).cloned().collect()
        };
        // The same in sdk/test/resume.test.js.
        assert_eq!((missing(0).len(), missing(0)[0].as_str()), (8, "key-247"));
        assert_eq!((missing(1).len(), missing(1)[0].as_str()), (8, "key-020"));
        assert_eq!(missing(0).iter().filter(|key| missing(1).contains(key)).count(), 0);
    }

    #[test]
    fn keys_that_swell_as_json_and_long_tokens_have_their_place_too() {
        let state = full_state(|n| format!("{}{n:03}", "\u{1}".repeat(120)));
        let (message, _) = resume(join(1), "00000000000000aa".to_owned(), ("mesh", None), 1, up(), &state);
        assert!(message.encode().len() <= limits::SIGNAL_MAX && !known(&message).state.is_empty());

        let token = Some(Token("t".repeat(50_000)));
        let (message, left_out) =
            resume(Join { token, ..join(1) }, "00000000000000aa".to_owned(), ("mesh", None), 1, up(), &state);
        assert!(message.encode().len() <= limits::SIGNAL_MAX);
        let listed = known(&message).up.len();
        assert!(listed > 0 && !left_out.is_empty() && [&known(&message).up[..], &left_out].concat() == up());

        // More than fits anyway is for the hub to refuse.
        let token = Some(Token("t".repeat(limits::SIGNAL_MAX)));
        let (message, left_out) =
            resume(Join { token, ..join(1) }, "00000000000000aa".to_owned(), ("mesh", None), 1, up(), &state);
        assert_eq!((known(&message).up.len(), known(&message).state.len(), left_out.len()), (0, 0, 1_000));
    }
}
