//! The messages of the protobuf protocol, as `proto/deepstream.proto` has them. Actions and topics are numbers: those
//! that a client may send and this server does not know are answered, not refused by the decoder.

use std::collections::BTreeMap;

use bytes::Bytes;

/// What a frame carries.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(int32, tag = "2")]
    pub topic: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub message: Bytes,
}

/// Topic 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ParserMessage {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(string, optional, tag = "2")]
    pub data: Option<String>,
    #[prost(int32, optional, tag = "8")]
    pub original_topic: Option<i32>,
    #[prost(int32, optional, tag = "9")]
    pub original_action: Option<i32>,
}

/// Topic 2.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ConnectionMessage {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(string, optional, tag = "2")]
    pub data: Option<String>,
    #[prost(bool, optional, tag = "3")]
    pub is_error: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    pub is_ack: Option<bool>,
    #[prost(string, optional, tag = "5")]
    pub url: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub protocol_version: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub sdk_version: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub sdk_type: Option<String>,
}

/// Topic 3.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AuthMessage {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(string, optional, tag = "2")]
    pub data: Option<String>,
    #[prost(bool, optional, tag = "3")]
    pub is_error: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    pub is_ack: Option<bool>,
}

/// Topic 4.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EventMessage {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(string, optional, tag = "2")]
    pub data: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub correlation_id: Option<String>,
    #[prost(bool, optional, tag = "4")]
    pub is_error: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    pub is_ack: Option<bool>,
    #[prost(string, optional, tag = "6")]
    pub name: Option<String>,
    #[prost(string, repeated, tag = "7")]
    pub names: Vec<String>,
    #[prost(string, optional, tag = "8")]
    pub subscription: Option<String>,
    #[prost(int32, optional, tag = "10")]
    pub original_topic: Option<i32>,
    #[prost(int32, optional, tag = "11")]
    pub original_action: Option<i32>,
}

/// Topic 5.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RecordMessage {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(string, optional, tag = "2")]
    pub data: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub correlation_id: Option<String>,
    #[prost(bool, optional, tag = "4")]
    pub is_error: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    pub is_ack: Option<bool>,
    #[prost(string, optional, tag = "6")]
    pub name: Option<String>,
    #[prost(string, repeated, tag = "7")]
    pub names: Vec<String>,
    #[prost(string, optional, tag = "9")]
    pub subscription: Option<String>,
    #[prost(int32, optional, tag = "10")]
    pub original_action: Option<i32>,
    #[prost(bool, optional, tag = "11")]
    pub is_write_ack: Option<bool>,
    #[prost(string, optional, tag = "12")]
    pub path: Option<String>,
    #[prost(int64, optional, tag = "13")]
    pub version: Option<i64>,
    #[prost(btree_map = "string, int64", tag = "14")]
    pub versions: BTreeMap<String, i64>,
}

/// Topic 6.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcMessage {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(string, optional, tag = "2")]
    pub data: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub correlation_id: Option<String>,
    #[prost(bool, optional, tag = "4")]
    pub is_error: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    pub is_ack: Option<bool>,
    #[prost(string, repeated, tag = "6")]
    pub names: Vec<String>,
    #[prost(string, optional, tag = "7")]
    pub name: Option<String>,
    #[prost(int32, optional, tag = "9")]
    pub original_action: Option<i32>,
    #[prost(string, optional, tag = "10")]
    pub requestor_name: Option<String>,
    #[prost(string, optional, tag = "11")]
    pub requestor_data: Option<String>,
}

/// Topic 7.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PresenceMessage {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(int32, optional, tag = "2")]
    pub original_topic: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub original_action: Option<i32>,
    #[prost(string, optional, tag = "4")]
    pub data: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub correlation_id: Option<String>,
    #[prost(bool, optional, tag = "6")]
    pub is_error: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub is_ack: Option<bool>,
    #[prost(string, optional, tag = "8")]
    pub name: Option<String>,
    #[prost(string, repeated, tag = "9")]
    pub names: Vec<String>,
}

#[cfg(test)]
mod tests {
    /// The fields of the messages in a text: `message.field = tag`, in order. Both files list them one a line.
    fn fields(text: &str, begin: &str, field: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
        let mut fields = Vec::new();
        let (mut message, mut before) = ("", "");
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix(begin) {
                message = name.trim_end_matches(" {");
            }
            fields.extend(field(before, line).map(|field| format!("{message}.{field}")));
            before = line;
        }
        fields
    }

    #[test]
    fn rust_and_proto_say_the_same() {
        let proto = fields(include_str!("../../proto/deepstream.proto"), "message ", |_, line| {
            let (left, tag) = line.strip_suffix(';')?.split_once(" = ")?;
            let (kind, name) = left.rsplit_once(' ')?;
            let kind = kind.replace("map<string, int64>", "btree_map string int64");
            (kind != "syntax").then(|| format!("{name} {kind} {tag}"))
        });
        let rust = fields(include_str!("schema.rs"), "pub(super) struct ", |before, line| {
            let attribute = before.strip_prefix("#[prost(")?.strip_suffix(")]")?;
            let name = line.strip_prefix("pub ")?.split(':').next()?;
            let (kind, tag) = attribute.split_once(", tag = ")?;
            let words: Vec<&str> = kind.split([' ', ',', '=', '"']).filter(|word| !word.is_empty()).collect();
            let kind = match words[..] {
                [kind, label @ ("optional" | "repeated")] => format!("{label} {kind}"),
                ["bytes", _] => "bytes".to_owned(),
                _ => words.join(" "),
            };
            Some(format!("{name} {kind} {}", tag.trim_matches('"')))
        });
        assert!(proto.len() > 50, "{proto:?}");
        assert_eq!(proto, rust);
    }
}
