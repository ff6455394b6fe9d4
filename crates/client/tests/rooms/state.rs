//! The room's shared state.

use roomful::{ChangeError, Event, Room};

use crate::scene::{enter, find, linked, server};

/// The next change of this entry, as JSON.
async fn change(room: &mut Room, wanted: &str) -> String {
    find(room, |event| match event {
        Event::State { key, value, .. } if key == wanted => Some(value.as_str().to_owned()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_change_reaches_everybody_and_late_joiners() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    rooms[0].state().set("title", "Standup").await.expect("an open room");
    rooms[0].state().set("agenda", &["one", "two"]).await.expect("an open room");
    for room in &mut rooms {
        assert_eq!(change(room, "agenda").await, r#"["one","two"]"#);
    }
    assert_eq!(rooms[1].state().get("title").map(|title| title.to::<String>().ok()), Some(Some("Standup".to_owned())));

    let late = enter(&server, "late").await;
    let keys: Vec<_> = late.state().iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["agenda", "title"]);

    late.state().delete("title").await.expect("an open room");
    for room in &mut rooms {
        assert_eq!(change(room, "title").await, "null");
        assert_eq!(room.state().get("title"), None);
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = server().await;
    let room = enter(&server, "Ada").await;
    let key = "k".repeat(room::limits::STATE_KEY_MAX + 1);
    assert!(matches!(room.state().set(key, &1).await, Err(ChangeError::TooLarge("the entry's key", ..))));
    let value = "v".repeat(room::limits::STATE_VALUE_MAX);
    assert!(matches!(room.state().set("k", &value).await, Err(ChangeError::TooLarge("the entry's value", ..))));
    let odd = std::collections::BTreeMap::from([(vec![1], 2)]);
    assert!(matches!(room.state().set("k", &odd).await, Err(ChangeError::Value(_))));
}
