//! Entering, leaving, being away, coming back, being found dead.

use room::{
    hub::{Config, Grant, IdentityPolicy, Input},
    limits,
    time::Micros,
    wire::signal::{ClientMessage, GoneReason, Join, RefusalCode, ServerMessage},
};

use crate::table::{Table, config, grant, id, join, resume};

const HUB: &str = "00000000000000aa";

#[test]
fn late_joiner_receives_roster() {
    let mut table = Table::new();
    let (a, b) = (table.join(1), table.join(2));
    let c = table.join(3);
    let welcome = table.welcome(c);
    assert_eq!(welcome.this.id, id(3));
    let members: Vec<_> = welcome.members.iter().map(|member| member.id).collect();
    assert_eq!(members, [id(1), id(2)], "in the order of arrival");
    assert!(!welcome.resumed);
    for conn in [a, b] {
        let entered = |message: &ServerMessage| matches!(message, ServerMessage::Member(m) if m.member.id == id(3));
        assert_eq!(table.inbox(conn).iter().filter(|message| entered(message)).count(), 1);
    }
}

#[test]
fn members_have_names_without_white_space_around_them_or_are_guests() {
    let mut table = Table::new();
    let long = format!("\n {} ", "x".repeat(limits::NAME_MAX));
    let given = |name: &str| Some(Grant { name: Some(name.to_owned()), ..Grant::open() });
    let cases = [
        ("  Ada Lovelace\t", None, "Ada Lovelace"),
        ("", None, "guest"),
        (" \u{a0}\u{3000}\r\n", None, "guest"),
        (&long, None, &"x".repeat(limits::NAME_MAX)),
        ("Ada", given(" Countess "), "Countess"),
        ("Ada", given(""), "Ada"),
        ("", given(" "), "guest"),
    ];
    for (number, (name, grant, expected)) in (1..).zip(cases) {
        let join = Join { name: name.to_owned(), ..join(number) };
        let conn = table.join_as(join, grant.or_else(|| Some(Grant::open())));
        assert_eq!(table.welcome(conn).this.name, expected, "{name:?}");
    }
}

#[test]
fn leaver_is_gone_at_once() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.say(conns[0], ClientMessage::Leave {});
    assert_eq!(table.closed(conns[0]), Some(None));
    assert_eq!(table.gone(conns[1]), [(1, GoneReason::Left)]);
    table.input(Input::Closed { conn: conns[1], left: true });
    assert_eq!(table.gone(conns[2]), [(1, GoneReason::Left), (2, GoneReason::Left)]);
    assert_eq!((table.hub.members(), table.hub.away()), (1, 0));
}

#[test]
fn cut_member_resumes_unnoticed() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.cut(conns[0]);
    assert_eq!((table.hub.members(), table.hub.away()), (3, 1));
    table.pass_alive(Micros::from_secs(29), &conns[1..]);
    let again = table.join_as(resume(1, HUB, &[2, 3]), Some(Grant::open()));
    let welcome = table.welcome(again);
    assert!(welcome.resumed && welcome.links.len() == 2);
    for conn in &conns[1..] {
        let noticed = table.inbox(*conn).into_iter().filter(|message| !matches!(message, ServerMessage::Ping {}));
        assert_eq!(noticed.count(), 0);
    }
}

#[test]
fn away_member_is_gone_when_its_window_is_over() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.cut(conns[0]);
    table.pass_alive(Micros::from_secs(29), &conns[1..]);
    assert_eq!(table.gone(conns[1]), []);
    table.pass(Micros::from_secs(1));
    assert_eq!(table.gone(conns[1]), [(1, GoneReason::Timeout)]);
}

#[test]
fn away_member_whom_everybody_doubts_has_crashed() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.cut(conns[0]);
    table.report(conns[1], &[], &[1], &[]);
    assert_eq!(table.gone(conns[1]), [], "somebody holds a link to it");
    table.report(conns[2], &[], &[], &[1]);
    assert_eq!(table.gone(conns[1]), [(1, GoneReason::Crashed)]);
}

#[test]
fn doubts_that_came_before_the_socket_ended_count() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.report(conns[1], &[], &[1], &[]);
    table.report(conns[2], &[], &[1], &[]);
    table.report(conns[2], &[1], &[], &[]);
    table.report(conns[2], &[], &[1], &[]);
    table.inbox(conns[1]);
    table.cut(conns[0]);
    assert_eq!(table.gone(conns[1]), [(1, GoneReason::Crashed)]);
}

#[test]
fn away_member_that_never_had_a_link_gets_a_short_grace() {
    let mut table = Table::new();
    let (a, b) = (table.join(1), table.join(2));
    table.report(b, &[], &[], &[1]);
    table.inbox(b);
    table.cut(a);
    table.pass(Micros(limits::UNVOUCHED_GRACE.0 - 1));
    assert_eq!(table.gone(b), []);
    table.pass(Micros(1));
    assert_eq!(table.gone(b), [(1, GoneReason::Crashed)]);
}

#[test]
fn ghosts_do_not_vouch_for_each_other() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.cut(conns[0]);
    table.cut(conns[1]);
    table.report(conns[2], &[], &[1, 2], &[]);
    table.pass(limits::UNVOUCHED_GRACE);
    assert_eq!(table.gone(conns[2]), [(1, GoneReason::Crashed), (2, GoneReason::Crashed)]);
}

#[test]
fn room_of_which_everybody_is_cut_waits_for_its_members() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    for conn in &conns {
        table.cut(*conn);
    }
    table.pass(Micros::from_secs(10));
    let c = table.join_as(resume(3, HUB, &[1]), Some(Grant::open()));
    assert_eq!(table.welcome(c).members.len(), 2, "1 is held by 3, and 2 by 1");
    let a = table.join_as(resume(1, HUB, &[3]), Some(Grant::open()));
    assert_eq!(table.gone(c), [(2, GoneReason::Crashed)]);
    assert_eq!(table.welcome(a).members.len(), 2);
}

#[test]
fn member_that_answers_neither_links_nor_hub_is_unresponsive() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.pass(Micros::from_secs(3));
    table.report(conns[1], &[], &[1], &[]);
    assert_eq!(table.inbox(conns[0]), [ServerMessage::Ping {}], "asked at the first doubt");
    table.report(conns[2], &[], &[1], &[]);
    table.pass(Micros(limits::PROBE_TIMEOUT.0 - 1));
    assert_eq!(table.gone(conns[1]), []);
    table.pass(Micros(1));
    assert_eq!(table.gone(conns[1]), [(1, GoneReason::Unresponsive)]);
    assert_eq!(table.closed(conns[0]), Some(Some(RefusalCode::Silent)));
}

#[test]
fn hung_members_do_not_vouch_for_each_other() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.pass(Micros::from_secs(2));
    table.report(conns[2], &[], &[1, 2], &[]);
    table.pass_alive(limits::PROBE_TIMEOUT, &conns[2..]);
    assert_eq!(table.gone(conns[2]), [(1, GoneReason::Unresponsive), (2, GoneReason::Unresponsive)]);
}

#[test]
fn doubted_member_that_answers_stays_and_is_asked_again() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.pass(Micros::from_secs(3));
    table.report(conns[1], &[], &[1], &[]);
    table.say(conns[0], ClientMessage::Pong {});
    for _ in 0..5 {
        table.inbox(conns[0]);
        table.pass(limits::PROBE_TIMEOUT);
        assert_eq!(table.inbox(conns[0]), [ServerMessage::Ping {}]);
        table.say(conns[0], ClientMessage::Pong {});
    }
    table.report(conns[1], &[1], &[], &[]);
    table.pass(limits::PROBE_TIMEOUT.times(2));
    assert_eq!(table.inbox(conns[0]), [], "the link is up again");
    assert_eq!(table.hub.members(), 2);
}

#[test]
fn floods_of_doubts_cost_their_victim_a_ping_in_two_seconds() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.pass(Micros::from_secs(3));
    for _ in 0..100 {
        table.report(conns[1], &[1], &[1], &[]);
        table.say(conns[0], ClientMessage::Pong {});
    }
    assert_eq!(table.inbox(conns[0]), [ServerMessage::Ping {}]);
}

#[test]
fn silent_member_is_pinged_then_cut_off_but_not_gone() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    let talking = &conns[1..];
    table.pass_alive(Micros::from_millis(19_500), talking);
    assert_eq!(table.inbox(conns[0]), []);
    table.pass_alive(limits::HUB_PING, talking);
    assert_eq!(table.inbox(conns[0]), [ServerMessage::Ping {}]);
    table.pass_alive(Micros::from_millis(500), talking);
    assert_eq!(table.refusal(conns[0]), (RefusalCode::Silent, true));
    assert_eq!(table.closed(conns[0]), Some(Some(RefusalCode::Silent)));
    assert_eq!((table.hub.members(), table.hub.away()), (2, 1));
    assert_eq!(table.gone(conns[1]), []);
}

#[test]
fn same_secret_takes_the_session_over() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    let again = table.join_as(resume(1, HUB, &[2]), Some(Grant::open()));
    assert!(table.welcome(again).resumed);
    assert_eq!(table.refusal(conns[0]), (RefusalCode::Replaced, true));
    assert_eq!(table.closed(conns[0]), Some(Some(RefusalCode::Replaced)));
    table.cut(conns[0]);
    table.say(conns[0], ClientMessage::Leave {});
    assert_eq!((table.hub.members(), table.hub.away()), (2, 0));
    assert_eq!(table.inbox(conns[1]), []);
}

#[test]
fn expired_token_resumes_but_does_not_enter() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.cut(conns[0]);
    let again = table.join_as(resume(1, HUB, &[2]), None);
    assert!(table.welcome(again).resumed);
    let stranger = table.join_as(resume(3, HUB, &[2]), None);
    assert_eq!(table.refusal(stranger), (RefusalCode::TokenExpired, true));
}

#[test]
fn another_identity_does_not_get_the_session() {
    let mut table = Table::new();
    let ada = table.join_as(join(1), Some(grant("ada")));
    table.inbox(ada);
    let eve = table.join_as(join(1), Some(grant("eve")));
    assert_eq!(table.refusal(eve), (RefusalCode::NotAllowed, true));
    assert_eq!((table.closed(ada), table.hub.away()), (None, 0));
}

#[test]
fn returning_member_may_be_muted_by_its_new_token() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.cut(conns[0]);
    let muted = Grant { publish_data: false, ..Grant::open() };
    let again = table.join_as(resume(1, HUB, &[2]), Some(muted));
    assert!(table.welcome(again).this.mute);
    assert!(matches!(&table.inbox(conns[1])[..], [ServerMessage::Member(entered)] if entered.member.mute));
}

#[test]
fn identity_policies() {
    for (policy, members, refused) in [
        (IdentityPolicy::Coexist, 2, None),
        (IdentityPolicy::Replace, 1, None),
        (IdentityPolicy::Reject, 1, Some((RefusalCode::IdentityTaken, true))),
    ] {
        let mut table = Table::with(Config { identity_policy: policy, ..config() });
        let first = table.join_as(join(1), Some(grant("ada")));
        let second = table.join_as(join(2), Some(grant("ada")));
        assert_eq!(table.hub.members(), members, "{policy:?}");
        match refused {
            Some(refused) => assert_eq!(table.refusal(second), refused),
            None => assert_eq!(table.welcome(second).members.len(), members - 1),
        }
        let replaced = (policy == IdentityPolicy::Replace).then_some(Some(RefusalCode::Replaced));
        assert_eq!(table.closed(first), replaced);
        // Members without identity are never the same.
        table.join(3);
        table.join(4);
        assert_eq!(table.hub.members(), members + 2);
    }
}

#[test]
fn what_a_crashed_tab_left_behind_does_not_keep_its_owner_out() {
    let mut table = Table::with(Config { identity_policy: IdentityPolicy::Reject, ..config() });
    let other = table.join(9);
    let first = table.join_as(join(1), Some(grant("ada")));
    table.cut(first);
    table.inbox(other);
    let second = table.join_as(join(2), Some(grant("ada")));
    assert_eq!(table.welcome(second).members.len(), 1);
    assert_eq!(table.gone(other), [(1, GoneReason::Replaced)]);
}

#[test]
fn full_room_refuses_newcomers_but_not_its_members() {
    let mut table = Table::with(Config { members_max: 2, identity_policy: IdentityPolicy::Replace, ..config() });
    let first = table.join_as(join(1), Some(grant("ada")));
    table.join(2);
    table.cut(first);
    let third = table.join(3);
    assert_eq!(table.refusal(third), (RefusalCode::RoomFull, true));
    let again = table.join(1);
    assert_eq!(table.refusal(again), (RefusalCode::NotAllowed, true), "that is Ada's");
    let again = table.join_as(join(1), Some(grant("ada")));
    assert!(table.welcome(again).resumed);
    let anew = table.join_as(join(4), Some(grant("ada")));
    assert!(!table.welcome(anew).resumed, "there is room for who replaces somebody");
}

#[test]
fn unknown_session_enters_anew_under_its_id() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.cut(conns[0]);
    table.report(conns[1], &[], &[], &[1]);
    assert_eq!(table.gone(conns[1]), [(1, GoneReason::Crashed)]);
    let again = table.join_as(resume(1, HUB, &[2]), Some(Grant::open()));
    let welcome = table.welcome(again);
    assert_eq!((welcome.resumed, welcome.this.id, welcome.op), (false, id(1), 0));
    assert_eq!(table.links(conns[1]), [(id(1), true)]);
}

#[test]
fn everyone_is_told_when_the_server_goes_down() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.cut(conns[2]);
    table.input(Input::Shutdown { reason: "a new version".to_owned(), retry: Micros::from_secs(1) });
    for conn in &conns[..2] {
        match &table.inbox(*conn)[..] {
            [ServerMessage::Closing(closing)] => assert!((1_000..=1_500).contains(&closing.retry_ms)),
            other => panic!("{other:?}"),
        }
        assert_eq!(table.closed(*conn), Some(Some(RefusalCode::ShuttingDown)));
    }
    assert!(table.hub.is_empty() && table.hub.poll_timeout().is_none());
    let late = table.join(4);
    assert_eq!(table.refusal(late), (RefusalCode::ShuttingDown, true));
}

#[test]
fn empty_room_says_so() {
    let mut table = Table::new();
    let conn = table.join(1);
    table.cut(conn);
    table.pass(Micros::from_secs(29));
    assert!(!table.hub.is_empty(), "who is alone may take its time to come back");
    table.pass(Micros::from_secs(1));
    assert!(table.hub.is_empty());
    assert_eq!(table.hub.poll_timeout(), None);
}

#[test]
fn witness_that_is_cut_off_itself_keeps_no_ghost() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.pass_alive(Micros::from_secs(4), &conns[2..]);
    // 1 crashes; 2 vouches for it, and its own socket is dead without anybody knowing.
    table.cut(conns[0]);
    table.report(conns[2], &[], &[1], &[]);
    table.inbox(conns[1]);
    table.pass_alive(limits::PROBE_TIMEOUT, &conns[2..]);
    assert_eq!(table.inbox(conns[1]), [ServerMessage::Ping {}]);
    table.pass_alive(limits::PROBE_TIMEOUT, &conns[2..]);
    assert_eq!(table.gone(conns[2]), []);
    table.pass_alive(limits::UNVOUCHED_GRACE, &conns[2..]);
    assert_eq!(table.gone(conns[2]), [(1, GoneReason::Crashed)]);
    assert_eq!((table.hub.members(), table.hub.away()), (2, 0), "the witness is only silent");
}

#[test]
fn witness_that_answers_keeps_an_away_member() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.pass(Micros::from_secs(4));
    table.cut(conns[0]);
    table.report(conns[2], &[], &[1], &[]);
    table.pass_alive(Micros::from_secs(29), &conns[1..]);
    assert_eq!(table.hub.away(), 1);
    let again = table.join_as(resume(1, HUB, &[2]), Some(Grant::open()));
    assert!(table.welcome(again).resumed);
}

#[test]
fn doubts_outlast_the_doubter() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.pass(Micros::from_secs(3));
    table.report(conns[2], &[], &[1, 2], &[]);
    table.pass(Micros::from_secs(1));
    table.say(conns[2], ClientMessage::Leave {});
    let late = table.join(4);
    table.inbox(late);
    table.pass(limits::PROBE_TIMEOUT);
    assert_eq!(table.gone(late), [(1, GoneReason::Unresponsive), (2, GoneReason::Unresponsive)]);
}

#[test]
fn hub_that_slept_blames_nobody() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.cut(conns[2]);
    table.pass(Micros::from_secs(3));
    table.report(conns[1], &[], &[1], &[]);
    assert_eq!(table.inbox(conns[0]), [ServerMessage::Ping {}]);
    table.now = table.now + Micros::from_secs(600);
    table.report(conns[1], &[1], &[], &[]);
    table.report(conns[1], &[], &[1], &[]);
    table.input(Input::Timeout);
    assert_eq!((table.hub.members(), table.hub.away()), (3, 1));
    let again = table.join_as(resume(3, HUB, &[1, 2]), Some(Grant::open()));
    assert!(table.welcome(again).resumed);
    table.pass(Micros::from_secs(1));
    assert_eq!((table.hub.members(), table.hub.away()), (3, 0));
}

#[test]
fn ghosts_of_before_are_gone_soon_after_somebody_comes() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.pass(limits::HUB_PING.times(3));
    assert_eq!(table.closed(conns[0]), Some(Some(RefusalCode::Silent)));
    table.pass(Micros::from_secs(10));
    assert_eq!(table.hub.away(), 2, "nobody is there to be misled");
    let late = table.join(3);
    table.inbox(late);
    table.pass(limits::UNVOUCHED_GRACE);
    assert_eq!(table.gone(late), [(1, GoneReason::Crashed), (2, GoneReason::Crashed)]);
}
