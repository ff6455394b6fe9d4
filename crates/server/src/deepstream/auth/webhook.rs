//! Asking an application over HTTP who may log in, as deepstream's `http` authentication does.
//!
//! It is posted `{"connectionData": …, "authData": …}`, where `authData` is what the client says about itself. Status
//! 200 lets it in, as whom the answer says: a text is the name, and a JSON object has it as `id` or `username`, beside
//! `clientData` for the client and `serverData`, whose `role` is the client's role. Every other status turns it away,
//! and so does `"isValid": false`; why is in the answer.

use std::{error::Error, sync::Arc, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use bytes::Bytes;
use deepstream::{Identity, Rejection};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tokio::{sync::Semaphore, time::timeout};
use tracing::warn;

use super::{Cause, ConnectionData, Refusal, name, refuse};
use crate::{
    config::deepstream::{self as settings, SettingsError},
    limits,
};

/// The application to ask.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: settings::WebhookUrl,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    calls: Semaphore,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    connection_data: Option<&'a ConnectionData>,
    auth_data: &'a RawValue,
}

/// An answer, as far as this server understands it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    is_valid: Option<bool>,
    id: Value,
    username: Value,
    client_data: Value,
    server_data: Value,
}

/// What there is to be told to operators: none of it has anything in it that a client said.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("it takes longer than {0:?}")]
    TooSlow(Duration),
    #[error("it cannot be reached: {}", root(&**.0))]
    Unreachable(Box<dyn Error + Send + Sync>),
    #[error("its answer breaks off, or has more than {} bytes", limits::WEBHOOK_ANSWER)]
    Body,
    #[error("it answered with status {0}")]
    Status(StatusCode),
    #[error("its answer is neither a JSON object nor a plain text")]
    Shape,
    #[error("the user that it names cannot be one")]
    User,
}

impl Webhook {
    pub(super) fn new(settings: &settings::Webhook) -> Result<Webhook, SettingsError> {
        let mut roots = RootCertStore::empty();
        if settings.url.is_https() {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(SettingsError::NoRoots);
            }
        }
        Webhook::trusting(settings, roots)
    }

    pub(super) fn trusting(settings: &settings::Webhook, roots: RootCertStore) -> Result<Webhook, SettingsError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(limits::WEBHOOK_IDLE)
            .http1_max_buf_size(limits::WEBHOOK_ANSWER)
            .build(connector);
        Ok(Webhook {
            client,
            url: settings.url.clone(),
            headers: settings.headers()?,
            timeout: settings.timeout,
            calls: Semaphore::new(limits::WEBHOOK_CALLS),
        })
    }

    /// Asks who a client is.
    pub(super) async fn ask(&self, data: &str, connection: Option<&ConnectionData>) -> Result<Identity, Refusal> {
        let auth_data = serde_json::from_str(data).map_err(|_| refuse("a login is a JSON object"))?;
        let question = Question { connection_data: connection, auth_data };
        let question = serde_json::to_vec(&question).expect("both are JSON already");
        let answer = timeout(self.timeout, self.post(question)).await;
        let fault = match answer.unwrap_or(Err(Fault::TooSlow(self.timeout))).and_then(|answer| read(&answer)) {
            Ok(verdict) => return Ok(verdict?),
            Err(fault) => fault,
        };
        warn!(%fault, "the webhook for deepstream's logins does not do its work");
        let rejection = refuse("who may log in cannot be found out at this time: try again later");
        Err(Refusal { rejection, cause: Cause::Webhook })
    }

    async fn post(&self, question: Vec<u8>) -> Result<Reply, Fault> {
        let _call = self.calls.acquire().await.expect("it is never closed");
        let mut request = Request::new(Full::from(question));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.as_str().parse().map_err(|error| Fault::Unreachable(Box::from(error)))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/plain"));
        headers.extend(self.headers.iter().cloned());
        let response = self.client.request(request).await.map_err(|error| Fault::Unreachable(Box::new(error)))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, limits::WEBHOOK_ANSWER).collect().await.map_err(|_| Fault::Body)?.to_bytes();
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_plain = kind.is_none_or(|kind| kind.trim_start().starts_with("text/plain"));
        Ok(Reply { status: head.status, is_plain, body })
    }
}

/// What an error comes of: the rest is where it passed through.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

/// A response, whole.
struct Reply {
    status: StatusCode,
    is_plain: bool,
    body: Bytes,
}

/// What a response says of a client.
fn read(reply: &Reply) -> Result<Result<Identity, Rejection>, Fault> {
    match reply.status {
        StatusCode::OK => {}
        // Its trouble is not the client's, who might see in it what is not meant for them.
        status if status.is_server_error() || status.is_redirection() => return Err(Fault::Status(status)),
        _ => return Ok(Err(why(reply))),
    }
    let answer = match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(fields)) => Answer::deserialize(fields).map_err(|_| Fault::Shape)?,
        Ok(id @ Value::String(_)) => Answer { id, ..Answer::default() },
        _ if reply.body.is_empty() => Answer::default(),
        // A page that somebody's proxy shows instead of the application's answer is nobody's name.
        _ if reply.is_plain => {
            let id = str::from_utf8(&reply.body).map_err(|_| Fault::Shape)?;
            Answer { id: id.into(), ..Answer::default() }
        }
        _ => return Err(Fault::Shape),
    };
    let client_data = (!answer.client_data.is_null()).then(|| answer.client_data.to_string());
    if answer.is_valid == Some(false) {
        return Ok(Err(Rejection(client_data)));
    }
    let user = match if answer.id.is_null() { answer.username } else { answer.id } {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(name(&text).map_err(|_| Fault::User)?),
        Value::Number(number) => Some(name(&number.to_string()).map_err(|_| Fault::User)?),
        _ => return Err(Fault::User),
    };
    let role = answer.server_data.get("role").and_then(Value::as_str).map(str::to_owned);
    Ok(Ok(Identity { user, role, client_data, lifetime: None }))
}

/// Why it turns a client away.
fn why(reply: &Reply) -> Rejection {
    match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(mut fields)) => {
            let why = fields.remove("clientData").unwrap_or(Value::Object(fields));
            Rejection(Some(why.to_string()))
        }
        Ok(Value::String(text)) => refuse(&text),
        Ok(_) => Rejection(None),
        Err(_) => match str::from_utf8(&reply.body) {
            Ok(text) if reply.is_plain && !text.is_empty() => refuse(text),
            _ => Rejection(None),
        },
    }
}
