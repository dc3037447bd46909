use keyrail_core::{ByteString, ExchangeId, Message, Outcome, PublishError, Router, Table, Trace};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;

use crate::error::Failure;

pub(crate) fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|error| Failure::invalid_argument(error).into())
}

/// Plain objects, as `JSON.parse` would make them: no `Map`, `null` for nothing.
pub(crate) fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    value.serialize(&Serializer::json_compatible()).map_err(JsValue::from)
}

/// A message on its way in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Publish {
    exchange: Box<str>,
    routing_key: ByteString,
    headers: Option<Table>,
    message_id: Option<Box<str>>,
    correlation_id: Option<Box<str>>,
    timestamp: Option<u64>,
}

impl Publish {
    pub(crate) fn message(&self, router: &Router) -> Result<(ExchangeId, Message<'_>), PublishError> {
        let (id, mut message) = router.message(&self.exchange, &self.routing_key, self.headers.as_ref())?;
        if let Some(id) = &self.message_id {
            message = message.message_id(&**id);
        }
        if let Some(id) = &self.correlation_id {
            message = message.correlation_id(&**id);
        }
        if let Some(seconds) = self.timestamp {
            message = message.timestamp(seconds);
        }
        Ok((id, message))
    }
}

/// A trace with its outcome, for programs and for people.
#[derive(Serialize)]
pub(crate) struct Explained<'a> {
    outcome: &'static str,
    #[serde(flatten)]
    trace: &'a Trace,
    text: String,
}

impl<'a> Explained<'a> {
    pub(crate) fn new(outcome: Outcome, trace: &'a Trace) -> Self {
        Explained { outcome: outcome.as_str(), trace, text: trace.to_string() }
    }
}
