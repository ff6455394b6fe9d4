//! Many members that enter a room in the same instant.

use std::{collections::BTreeSet, time::Duration};

use roomful::{Event, LinkState, MemberId, Room};
use server::{Config, Server};
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

const MEMBERS: usize = 64;
/// How long the crowd may take on a machine that does other things too: 2,016 links, each with a handshake.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one member of the crowd has seen when it is done.
struct Seen {
    id: MemberId,
    linked: BTreeSet<MemberId>,
    heard: Vec<(MemberId, String)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_enter_in_the_same_instant_are_all_linked_and_hear_each_other() {
    let config = Config { dev: true, listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let server = Server::start(config).await.unwrap();
    let address = format!("http://{}/standup", server.address());
    let everybody_is_done: &'static Barrier = Box::leak(Box::new(Barrier::new(MEMBERS)));

    let mut crowd = JoinSet::new();
    for at in 0..MEMBERS {
        let address = address.clone();
        crowd.spawn(async move {
            let room = roomful::join(&address).name(format!("member {at}")).topology("mesh").await.unwrap();
            let seen = timeout(PATIENCE, take_part(room, everybody_is_done)).await;
            seen.unwrap_or_else(|_| panic!("member {at} waits for too long"))
        });
    }
    let crowd = crowd.join_all().await;

    let ids: BTreeSet<MemberId> = crowd.iter().map(|seen| seen.id).collect();
    assert_eq!(ids.len(), MEMBERS);
    for Seen { id, linked, mut heard } in crowd {
        let others: BTreeSet<MemberId> = ids.iter().copied().filter(|other| *other != id).collect();
        assert_eq!(linked, others, "the links of {id}");
        heard.sort();
        let greetings: Vec<(MemberId, String)> = others.iter().map(|other| (*other, other.to_string())).collect();
        assert_eq!(heard, greetings, "what {id} heard");
    }
}

/// Says its own id once it is linked to all, and stays until everybody has heard everybody.
async fn take_part(mut room: Room, everybody_is_done: &Barrier) -> Seen {
    let mut seen = Seen { id: room.id(), linked: BTreeSet::new(), heard: Vec::new() };
    let mut greeted = false;
    while seen.linked.len() < MEMBERS - 1 || seen.heard.len() < MEMBERS - 1 {
        match room.next().await.expect("the room is open") {
            Event::Link(link) if link.state == LinkState::Open => drop(seen.linked.insert(link.member)),
            Event::Link(link) => drop(seen.linked.remove(&link.member)),
            Event::Message(message) => {
                seen.heard.push((message.from, message.data.text().expect("a text was sent").to_owned()));
            }
            Event::MemberLeave { member, reason } => panic!("{} left: {reason:?}", member.name),
            Event::Gap { member, .. } => panic!("a gap after {member}"),
            _ => {}
        }
        if !greeted && seen.linked.len() == MEMBERS - 1 {
            greeted = true;
            room.channel("chat").send(seen.id.to_string()).await.expect("the room is open");
        }
    }
    everybody_is_done.wait().await;
    seen
}
