//! Values mean the same in both languages: the files of `protocol/golden/`, and whatever else may come.

use std::{fs, path::Path};

use proptest::prelude::*;
use roomful::{ArrayKind, DecodeError, EncodeError, Payload};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Golden {
    kind: String,
    hex: String,
    /// There where JSON has the value.
    json: Option<Value>,
}

impl Golden {
    fn payload(&self) -> Payload {
        let digit = |at: usize| u8::from_str_radix(&self.hex[at..at + 2], 16).expect("hex digits");
        Payload::from_cbor((0..self.hex.len()).step_by(2).map(digit).collect::<Vec<u8>>().into())
    }
}

fn golden(kind: &str) -> Vec<(String, Golden)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/golden");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("value_") || name.starts_with("bad_value_") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let golden: Golden = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            if golden.kind == kind {
                found.push((name, golden));
            }
        }
    }
    assert!(!found.is_empty(), "no golden file of kind {kind}");
    found
}

#[test]
fn golden_values_read_and_written_again_are_the_same_bytes() {
    for (name, golden) in golden("value") {
        let payload = golden.payload();
        payload.check().unwrap_or_else(|error| panic!("{name}: {error}"));
        let json = payload.to_json().unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(expected) = &golden.json {
            assert_eq!(Payload::from_json(expected).map(|payload| payload.to_json()), Ok(Ok(json.clone())), "{name}");
        }
        // A plain object's keys have an order on the wire, which JSON objects in memory do not keep.
        if json.as_object().is_none_or(|object| object.keys().all(|key| key.starts_with('$'))) {
            assert_eq!(Payload::from_json(&json), Ok(payload), "{name}: {json}");
        }
    }
}

#[test]
fn golden_values_with_a_json_form_are_what_serde_writes() {
    for (name, golden) in golden("value") {
        // An object's keys have an order on the wire, which JSON objects in memory do not keep.
        let Some(json) = golden.json.as_ref().filter(|json| !json.is_object()) else { continue };
        // Of 2^53 on, JavaScript's numbers are doubles, and serde's integers are big ones.
        if json.as_u64().is_some_and(|n| n >= 1 << 53) {
            continue;
        }
        assert_eq!(Payload::value(json).as_ref(), Ok(&golden.payload()), "{name}");
        let read: Value = golden.payload().to().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Payload::value(&read), Ok(golden.payload()), "{name}");
    }
}

#[test]
fn what_other_encoders_write_is_read() {
    for (name, golden) in golden("value_decode") {
        let json = golden.payload().to_json().unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = Payload::from_json(&json);
        let again = again.as_ref().map(Payload::to_json);
        if !golden.hex.starts_with("d854") {
            assert_eq!(again, Ok(Ok(json)), "{name}");
        }
    }
}

#[test]
fn golden_bytes_that_are_no_values_are_refused() {
    for (name, golden) in golden("bad_value") {
        let payload = golden.payload();
        assert!(payload.check().is_err(), "{name}");
        assert!(payload.to_json().is_err(), "{name}");
        assert!(payload.to::<Value>().is_err(), "{name}");
    }
}

#[test]
fn whole_numbers_fit_where_floats_are_wanted() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Point {
        x: f64,
        y: f32,
    }
    let payload = Payload::from_json(&json!({ "x": 3, "y": -1 })).expect("a value");
    assert_eq!(payload.to(), Ok(Point { x: 3.0, y: -1.0 }));
    assert_eq!(Payload::value(&2.0).expect("a value").to(), Ok(2_u8));
}

#[test]
fn structures_enums_and_options_come_back() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Nothing,
        Circle(f64),
        Line((i8, i8), (i8, i8)),
        Text { text: String, size: Option<u16>, bold: bool },
    }
    let shapes = vec![
        Shape::Nothing,
        Shape::Circle(0.5),
        Shape::Line((1, -2), (3, 4)),
        Shape::Text { text: "ä".to_owned(), size: None, bold: true },
        Shape::Text { text: String::new(), size: Some(9), bold: false },
    ];
    let payload = Payload::value(&shapes).expect("a value");
    assert_eq!(payload.to(), Ok(shapes));
    let json = payload.to_json().expect("a value");
    assert_eq!(json[3], json!({ "Text": { "text": "ä", "size": null, "bold": true } }));
}

#[test]
fn bytes_and_typed_arrays_are_bytes_and_sequences() {
    let bytes = Payload::from(b"\x01\xff");
    assert_eq!(bytes.bytes().as_deref(), Some(&[1, 255][..]));
    assert_eq!(bytes.to::<&[u8]>(), Ok(&[1, 255][..]));
    assert_eq!(bytes.to::<Vec<u16>>(), Ok(vec![1, 255]));

    let array = Payload::array(&[1.5_f32, -2.0]);
    let typed = array.typed_array().expect("a typed array");
    assert_eq!((typed.kind, typed.bytes.len()), (ArrayKind::F32, 8));
    assert_eq!(typed.numbers::<f32>(), Some(vec![1.5, -2.0]));
    assert_eq!(typed.numbers::<f64>(), None);
    assert_eq!(array.to::<Vec<f64>>(), Ok(vec![1.5, -2.0]));
    assert_eq!(array.to::<&[u8]>(), Ok(&typed.bytes[..]));
    assert_eq!(array.text(), None);
}

#[test]
fn a_payload_inside_of_a_value_is_the_value_that_it_is() {
    let array = Payload::array(&[1_u16, 2]);
    assert_eq!(Payload::value(&array), Ok(array.clone()));
    let both = Payload::value(&(&array, "text")).map(|both| (both.to_json(), both.check()));
    assert_eq!(both, Ok((Ok(json!([{ "$uint16": [1, 2] }, "text"])), Ok(()))));
}

#[test]
fn big_integers_keep_all_digits() {
    for n in [i128::from(i64::MIN), i128::from(u64::MAX), i128::MAX, i128::MIN, 1 << 53, -(1 << 53), 0, -1] {
        assert_eq!(Payload::value(&n).expect("a value").to(), Ok(n));
    }
    assert_eq!(Payload::value(&u128::MAX).expect("a value").to(), Ok(u128::MAX));
}

#[test]
fn values_too_deep_are_refused_on_both_sides() {
    let nested = |levels: usize| (0..levels).fold(json!(0), |inner, _| json!([inner]));
    assert!(Payload::value(&nested(64)).is_ok_and(|payload| payload.to::<Value>().is_ok()));
    assert_eq!(Payload::value(&nested(65)), Err(EncodeError::TooDeep));
    let hostile = Payload::from_cbor([vec![0x81; 1_000_000], vec![0]].concat().into());
    assert_eq!(hostile.to::<Value>(), Err(DecodeError::TooDeep));
    assert_eq!(hostile.to_json(), Err(DecodeError::TooDeep));
}

#[test]
fn maps_with_structured_keys_are_refused() {
    let map = std::collections::BTreeMap::from([(vec![1], 2)]);
    assert_eq!(Payload::value(&map), Err(EncodeError::Key));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(|n| json!(n >> 11)),
        (-1e15..1e15).prop_map(|x: f64| json!(x)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,6}", inner, 0..8).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_survives(json in any_json()) {
        let payload = Payload::value(&json).expect("a value");
        prop_assert_eq!(&Payload::from_json(&json), &Ok(payload.clone()));
        let read: Value = payload.to().expect("it was written");
        prop_assert_eq!(Payload::value(&read), Ok(payload));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let payload = Payload::from_cbor(bytes.into());
        let checked = payload.check();
        prop_assert_eq!(payload.to_json().map(drop), checked.clone());
        let _ = (payload.text(), payload.bytes(), payload.typed_array());
        if checked.is_err() {
            prop_assert!(payload.to::<serde::de::IgnoredAny>().is_err());
        }
        let _ = payload.to::<Value>();
    }
}

#[test]
fn a_value_of_too_many_items_is_neither_made_nor_read() {
    let small = vec![0u8; 2 * room::limits::VALUE_ITEMS];
    // As bytes it is one item, as an array of numbers two million.
    assert!(Payload::from(small.clone()).check().is_ok());
    assert_eq!(Payload::value(&small).unwrap_err(), EncodeError::TooMany);
    let mut hostile = vec![0x9f];
    hostile.extend(std::iter::repeat_n(0xa0, room::limits::VALUE_ITEMS));
    hostile.push(0xff);
    assert_eq!(Payload::from_cbor(hostile.into()).check(), Err(DecodeError::TooMany));
}
