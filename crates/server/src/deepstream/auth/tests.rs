//! Logging in, against a configuration, tokens, and real HTTP servers.

use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{config::Secret, limits, password::Hash};

const SECRET: &str = "a secret of thirty-two characters";

fn config(text: &str) -> Config {
    let keys = [("site".to_owned(), Secret::from(SECRET.to_owned()))].into();
    Config { keys, ..text.parse().unwrap_or_else(|error| panic!("{error}")) }
}

fn auth(text: &str) -> Auth {
    Auth::new(&config(text)).unwrap()
}

fn dev(text: &str) -> Auth {
    Auth::new(&Config { dev: true, ..config(text) }).unwrap()
}

fn connection() -> ConnectionData {
    let mut headers = HeaderMap::new();
    headers.insert(header::REFERER, HeaderValue::from_static("https://app.example/page"));
    headers.append(header::COOKIE, HeaderValue::from_static("a=1"));
    headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
    headers.append("x-any", HeaderValue::from_bytes(b"\xff1").unwrap());
    headers.append("x-any", HeaderValue::from_static("2"));
    let address = Some("192.0.2.7".parse().unwrap());
    ConnectionData::new(address, &"/deepstream?apiKey=k".parse().unwrap(), &headers)
}

async fn ask(auth: &Auth, data: &Value) -> Result<Identity, Rejection> {
    let answer = auth.authenticate(&data.to_string(), Some(&connection()), None).await;
    // How long it may stay is another's test.
    answer.map(|identity| Identity { lifetime: None, ..identity }).map_err(|refusal| refusal.rejection)
}

/// Why somebody may not log in.
async fn why(auth: &Auth, data: &Value) -> String {
    let Rejection(reason) = ask(auth, data).await.unwrap_err();
    let reason: Value = serde_json::from_str(&reason.unwrap()).unwrap();
    reason["error"].as_str().unwrap().to_owned()
}

fn named(text: &str) -> Identity {
    Identity { user: Some(Name::new(text).unwrap()), ..Identity::default() }
}

fn users() -> String {
    let [ada, bob] = ["open sesame", "bob's own"].map(|password| Hash::of(password).unwrap());
    format!(
        "[deepstream.users.ada]\npassword = '{ada}'\nrole = 'admin'\nclient_data = {{ a = [1, 'x'] }}\n\
         [deepstream.users.bob]\npassword = '{bob}'\n"
    )
}

fn token(change: impl FnOnce(&mut Claims)) -> String {
    let room = "standup".parse().unwrap();
    let mut claims = Claims::to_join(&room, "cyd", Duration::from_secs(60));
    change(&mut claims);
    claims.sign("site", &SECRET.to_owned().into()).unwrap()
}

#[tokio::test]
async fn anybody_may_try_things() {
    let open = dev("");
    for nobody in [json!({}), json!({ "username": "" }), json!({ "username": null }), json!({ "token": "x" })] {
        assert_eq!(ask(&open, &nobody).await, Ok(Identity::default()), "{nobody}");
    }
    assert_eq!(ask(&open, &json!({ "username": "ada" })).await, Ok(named("ada")));
    assert_eq!(ask(&open, &json!({ "username": 17, "password": {} })).await, Ok(named("17")));
    assert_eq!(why(&open, &json!({ "username": {} })).await, "a username is a text");
    assert!(why(&open, &json!({ "username": "a\u{1f}b" })).await.contains("no control characters"));
    for nonsense in ["", "{", "[]7", "7", r#"{"username":"a","username":"b"}"#] {
        assert!(open.authenticate(nonsense, Some(&connection()), None).await.is_err(), "{nonsense}");
    }
}

#[tokio::test]
async fn users_have_their_passwords() {
    for auth in [auth(&users()), dev(&users())] {
        let ada = ask(&auth, &json!({ "username": "ada", "password": "open sesame" })).await.unwrap();
        let client_data = Some(r#"{"a":[1,"x"]}"#.to_owned());
        assert_eq!(ada, Identity { role: Some("admin".to_owned()), client_data, ..named("ada") });
        let bob = ask(&auth, &json!({ "username": "bob", "password": "bob's own", "token": "x" })).await;
        assert_eq!(bob, Ok(named("bob")));
        for (name, password) in [("ada", "bob's own"), ("eve", "open sesame"), ("", ""), ("ada", &"x".repeat(9_999))] {
            let said = why(&auth, &json!({ "username": name, "password": password })).await;
            assert_eq!(said, "there is no user of this name with this password");
        }
        for data in [json!({}), json!({ "username": "ada" }), json!({ "username": "ada", "password": 7 })] {
            assert_eq!(why(&auth, &data).await, "log in with a username and a password");
        }
    }
    assert!(!format!("{:?}", auth(&users())).contains("argon2id"));
}

#[tokio::test]
async fn who_has_a_token_may_stay_as_long_as_it_is_good() {
    let auth = auth("deepstream.tokens = true");
    for (exp, least, most) in [(3_600, 3_500, 3_600), (0, 0, 0), (u64::MAX, u64::from(u32::MAX), u64::MAX)] {
        let now = token(|_| {});
        let exp = |claims: &mut Claims| claims.exp = if exp == u64::MAX { exp } else { claims.exp - 60 + exp };
        let data = json!({ "token": token(exp), "now": now }).to_string();
        let lifetime = auth.authenticate(&data, None, None).await.unwrap().lifetime.unwrap();
        let seconds = Duration::from(lifetime).as_secs();
        assert!(seconds >= least && seconds <= most.saturating_add(limits::TOKEN_LEEWAY_S + 1), "{seconds}");
    }
}

#[tokio::test]
async fn passwords_of_one_address_keep_no_other_waiting() {
    let auth = Arc::new(auth(&users()));
    let wrong = json!({ "username": "ada", "password": "wrong" }).to_string();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let turns = || Some(Arc::new(Semaphore::new(limits::PASSWORD_CHECKS_PER_ADDRESS)));
    let (flood, other) = (turns(), turns());
    let ask = |who: &'static str, turns: &Option<Arc<Semaphore>>| {
        let (auth, data, turns, order) = (auth.clone(), wrong.clone(), turns.clone(), order.clone());
        tokio::spawn(async move {
            assert!(auth.authenticate(&data, None, turns).await.is_err());
            order.lock().unwrap().push(who);
        })
    };
    let mut all: Vec<_> = (0..16).map(|_| ask("flood", &flood)).collect();
    tokio::task::yield_now().await;
    all.push(ask("other", &other));
    for each in all {
        each.await.unwrap();
    }
    let place = order.lock().unwrap().iter().position(|who| *who == "other").unwrap();
    assert!(place <= 2 * limits::PASSWORD_CHECKS, "behind {place} of the other address");
}

#[tokio::test]
async fn it_takes_as_long_to_find_nobody_as_to_find_a_wrong_password() {
    let auth = auth(&users());
    let mut times = [Duration::MAX; 2];
    for _ in 0..5 {
        for (time, name) in times.iter_mut().zip(["ada", "eve"]) {
            let start = Instant::now();
            why(&auth, &json!({ "username": name, "password": "wrong" })).await;
            *time = start.elapsed().min(*time);
        }
    }
    let [there, not_there] = times;
    assert!(there < 4 * not_there && not_there < 4 * there, "{there:?} {not_there:?}");
}

#[tokio::test]
async fn tokens_say_who_somebody_is() {
    let auth = auth("deepstream.tokens = true");
    for (field, room) in [("token", "standup"), ("jwt", "retro"), ("token", "")] {
        let token = token(|claims| room.clone_into(&mut claims.video.room));
        assert_eq!(ask(&auth, &json!({ field: token })).await, Ok(named("cyd")));
    }
    let role = token(|claims| {
        claims.video.room_admin = Some(true);
        claims.attributes = Some([("role".to_owned(), json!("editor"))].into());
    });
    let role = ask(&auth, &json!({ "token": role, "username": "ada" })).await;
    assert_eq!(role, Ok(Identity { role: Some("editor".to_owned()), ..named("cyd") }));

    let over = token(|claims| claims.exp = 1);
    assert_eq!(why(&auth, &json!({ "token": over })).await, "the token's time (exp) is over");
    let nobody = token(|claims| claims.sub.clear());
    assert!(why(&auth, &json!({ "token": nobody })).await.contains("(sub)"));
    let odd = token(|claims| claims.sub = "a\nb".to_owned());
    assert!(why(&auth, &json!({ "token": odd })).await.contains("control characters"));
    let room = "standup".parse().unwrap();
    let secret = SECRET.to_uppercase().into();
    let forged = Claims::to_join(&room, "cyd", Duration::from_secs(60)).sign("site", &secret).unwrap();
    assert!(why(&auth, &json!({ "token": forged })).await.contains("signature"));
    assert!(why(&auth, &json!({ "token": "x" })).await.contains("not a JSON Web Token"));
    assert_eq!(why(&auth, &json!({})).await, "log in with a token");
    assert_eq!(why(&auth, &json!({ "token": 7 })).await, "log in with a token");
}

// ---- webhooks ------------------------------------------------------------------------------------------------------

/// Answers every request with the same bytes, and hands on what it was asked.
struct Application {
    port: u16,
    asked: mpsc::Receiver<String>,
}

impl Application {
    async fn start(answer: impl Into<Vec<u8>>, tls: Option<TlsAcceptor>) -> Application {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, asked) = mpsc::channel(limits::INBOX);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, sender, tls) = (answer.clone(), sender.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(socket, &answer, &sender).await,
                        Some(tls) => {
                            let Ok(socket) = tls.accept(socket).await else { return };
                            converse(socket, &answer, &sender).await;
                        }
                    }
                });
            }
        });
        Application { port, asked }
    }

    async fn answering(status: &str, kind: &str, body: &str) -> Application {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        Application::start(head + body, None).await
    }

    fn auth(&self, more: &str) -> Auth {
        auth(&format!("[deepstream.webhook]\nurl = 'http://127.0.0.1:{}/login?a=b'\n{more}", self.port))
    }
}

/// Reads requests with a JSON body and answers them.
async fn converse(mut socket: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], asked: &mpsc::Sender<String>) {
    let mut request = Vec::new();
    while socket.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        if serde_json::from_str::<Value>(body).is_ok() {
            asked.send(text).await.unwrap();
            request.clear();
            if answer.is_empty() || socket.write_all(answer).await.is_err() {
                break;
            }
        }
    }
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
}

/// What a webhook makes of an answer.
async fn verdict(status: &str, kind: &str, body: &str) -> Result<Identity, Rejection> {
    let application = Application::answering(status, kind, body).await;
    ask(&application.auth(""), &json!({ "username": "ada" })).await
}

const BROKEN: &str = r#"{"error":"who may log in cannot be found out at this time: try again later"}"#;

#[tokio::test]
async fn webhook_is_asked_in_deepstreams_way() {
    let body = r#"{"id": "ada", "clientData": {"a": 1}, "serverData": {"role": "admin", "more": 2}, "other": 3}"#;
    let mut application = Application::answering("200 OK", "application/json; charset=utf-8", body).await;
    let auth = application.auth("headers = { authorization = 'Bearer in-nobodys-log' }");
    assert!(!format!("{auth:?}").contains("nobody"));
    for _ in 0..2 {
        let identity =
            auth.authenticate(r#"{"username":"ada","n":1.0,"any":[{}]}"#, Some(&connection()), None).await.unwrap();
        let client_data = Some(r#"{"a":1}"#.to_owned());
        assert_eq!(identity, Identity { role: Some("admin".to_owned()), client_data, ..named("ada") });
    }
    let asked = application.asked.recv().await.unwrap();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /login?a=b HTTP/1.1\r\n"), "{head}");
    for header in ["content-type: application/json", "authorization: Bearer in-nobodys-log", "host: 127.0.0.1:"] {
        assert!(head.contains(header), "{head}");
    }
    let expected = json!({
        "connectionData": {
            "remoteAddress": "192.0.2.7",
            "headers": { "referer": "https://app.example/page", "cookie": "a=1; b=2", "x-any": "\u{fffd}1, 2" },
            "referer": "https://app.example/page",
            "url": "/deepstream?apiKey=k",
        },
        "authData": { "username": "ada", "n": 1.0, "any": [{}] },
    });
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
}

#[tokio::test]
async fn webhook_lets_in_with_status_200() {
    let (json, text, html) = ("application/json", "text/plain", "text/html");
    assert_eq!(verdict("200 OK", json, r#"{"username": "eve"}"#).await, Ok(named("eve")));
    assert_eq!(verdict("200 OK", json, r#"{"id": 7, "clientData": null}"#).await, Ok(named("7")));
    assert_eq!(verdict("200 OK", json, r#""eve""#).await, Ok(named("eve")));
    assert_eq!(verdict("200 OK", text, "eve").await, Ok(named("eve")));
    for nobody in ["", "{}", r#"{"id": ""}"#] {
        assert_eq!(verdict("200 OK", html, nobody).await, Ok(Identity::default()));
    }
    for status in ["201 Created", "204 No Content", "401 Unauthorized", "403 Forbidden", "404 Not Found"] {
        assert!(verdict(status, json, "").await.is_err(), "{status}");
    }
}

#[tokio::test]
async fn webhook_says_why_it_turns_away() {
    let reason = |text: &str| Err(Rejection(Some(text.to_owned())));
    let (json, text, html) = ("application/json", "text/plain", "text/html");
    assert_eq!(verdict("403 Forbidden", text, "not you").await, reason(r#"{"error":"not you"}"#));
    assert_eq!(verdict("403 Forbidden", json, r#""not you""#).await, reason(r#"{"error":"not you"}"#));
    assert_eq!(verdict("403 Forbidden", json, r#"{"clientData":{"a":1},"b":2}"#).await, reason(r#"{"a":1}"#));
    assert_eq!(verdict("403 Forbidden", json, r#"{"a":1}"#).await, reason(r#"{"a":1}"#));
    assert_eq!(verdict("200 OK", json, r#"{"isValid":false,"id":"a","clientData":"no"}"#).await, reason(r#""no""#));
    for silent in [verdict("403 Forbidden", html, "<h1>Forbidden</h1>"), verdict("403 Forbidden", text, "")] {
        assert_eq!(silent.await, Err(Rejection(None)));
    }
}

#[tokio::test]
async fn webhook_that_does_not_work_lets_nobody_in() {
    let broken = Err(Rejection(Some(BROKEN.to_owned())));
    let large = format!(r#"{{"id":"{}"}}"#, "x".repeat(limits::WEBHOOK_ANSWER));
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(2_000));
    for (status, kind, body) in [
        ("500 Internal Server Error", "text/plain", "secrets of the application"),
        ("302 Found", "text/plain", "eve"),
        ("200 OK", "text/html", "<h1>Welcome to the proxy</h1>"),
        ("200 OK", "application/json", "[]"),
        ("200 OK", "application/json", r#"{"id": {}}"#),
        ("200 OK", "application/json", r#"{"id": "a\u001fb"}"#),
        ("200 OK", "application/json", &long),
        ("200 OK", "application/json", &large),
    ] {
        assert_eq!(verdict(status, kind, body).await, broken, "{body:.40}");
    }
    for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nade", "no HTTP at all\r\n\r\n"] {
        let application = Application::start(answer, None).await;
        assert_eq!(ask(&application.auth("timeout = '500ms'"), &json!({})).await, broken, "{answer}");
    }
    let silent = Application::start("", None).await;
    let start = Instant::now();
    assert_eq!(ask(&silent.auth("timeout = '50ms'"), &json!({})).await, broken);
    assert!(start.elapsed() < Duration::from_secs(5));
    let nobody = auth("deepstream.webhook.url = 'http://127.0.0.1:1'");
    assert_eq!(ask(&nobody, &json!({})).await, broken);
}

#[tokio::test]
async fn webhook_is_asked_who_is_unknown_otherwise() {
    let mut application = Application::answering("200 OK", "application/json", r#"{"id":"eve"}"#).await;
    let webhook = format!("webhook = {{ url = 'http://127.0.0.1:{}' }}\n", application.port);
    let auth = auth(&format!("[deepstream]\ntokens = true\n{webhook}{}", users()));
    let ada = json!({ "username": "ada", "password": "open sesame" });
    assert_eq!(ask(&auth, &ada).await.unwrap().user, named("ada").user);
    assert_eq!(ask(&auth, &json!({ "token": token(|_| {}) })).await, Ok(named("cyd")));
    assert!(why(&auth, &json!({ "token": token(|claims| claims.exp = 1) })).await.contains("is over"));
    assert!(application.asked.try_recv().is_err(), "all of that is known here");
    for unknown in [json!({}), json!({ "username": "ada", "password": "wrong" }), json!({ "token": "its own" })] {
        assert_eq!(ask(&auth, &unknown).await, Ok(named("eve")));
        application.asked.try_recv().unwrap();
    }
}

#[tokio::test]
async fn webhook_over_tls_must_be_who_it_is() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nada";
    let application = Application::start(answer, Some(TlsAcceptor::from(Arc::new(tls)))).await;
    let config = config(&format!("deepstream.webhook.url = 'https://localhost:{}'", application.port));
    let settings = config.deepstream.webhook.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let stranger = Webhook::trusting(&settings, roots.clone()).unwrap();
    let broken = Refusal { rejection: Rejection(Some(BROKEN.to_owned())), cause: Cause::Webhook };
    assert_eq!(stranger.ask("{}", None).await, Err(broken));
    roots.add(issued.cert.der().clone()).unwrap();
    let friend = Webhook::trusting(&settings, roots).unwrap();
    assert_eq!(friend.ask("{}", None).await, Ok(named("ada")));
}
