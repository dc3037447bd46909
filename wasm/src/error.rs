use js_sys::{Error as JsError, Reflect};
use keyrail_core::{
    BindError, DeclareError, DeleteError, Error, FollowError, PublishError, Reply, SnapshotError,
    TopologyError,
};
#[cfg(feature = "full")]
use keyrail_core::{
    DefinitionsError, LineError,
    diff::DiffError,
    kombu::{BindingSetsError, CeleryConfigError},
};
use serde::Serialize;
use wasm_bindgen::JsValue;

use crate::value::to_js;

/// What JavaScript gets to see of an error: a message, a stable code, and a broker's answer where there is one.
pub(crate) struct Failure {
    message: String,
    code: &'static str,
    reply: Option<Reply>,
}

#[derive(Serialize)]
struct ReplyValue {
    scope: &'static str,
    code: u16,
    name: &'static str,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl ToString) -> Self {
        Failure { message: message.to_string(), code, reply: None }
    }

    /// A value that has not the shape it should have.
    pub(crate) fn invalid_argument(error: serde_wasm_bindgen::Error) -> Self {
        // Its text begins with the name of the JavaScript class; the message alone does not.
        let message = JsError::from(JsValue::from(error)).message().into();
        Failure { message, code: "invalid-argument", reply: None }
    }
}

/// A JavaScript `Error`; the class `KeyrailError` is made from it on the other side.
impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let error = JsError::new(&failure.message);
        let reply = failure.reply.and_then(|reply| {
            let Reply { scope, code, name } = reply;
            to_js(&ReplyValue { scope: scope.as_str(), code, name }).ok()
        });
        // Setting a property of a fresh object cannot fail.
        let _ = Reflect::set(&error, &"code".into(), &failure.code.into());
        let _ = Reflect::set(&error, &"reply".into(), &reply.unwrap_or(JsValue::UNDEFINED));
        error.into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { message: error.to_string(), code: error.code(), reply: Some(error.reply()) }
    }
}

impl From<TopologyError> for Failure {
    fn from(error: TopologyError) -> Self {
        Failure { message: error.to_string(), ..error.error.into() }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        Failure::new(error.code(), error)
    }
}

impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Self {
        Failure::new(error.code(), error)
    }
}

#[cfg(feature = "full")]
impl From<DefinitionsError> for Failure {
    fn from(error: DefinitionsError) -> Self {
        match error {
            DefinitionsError::Invalid(error) => error.into(),
            other => Failure::new(other.code(), other),
        }
    }
}

#[cfg(feature = "full")]
impl From<DiffError> for Failure {
    fn from(error: DiffError) -> Self {
        Failure { message: error.to_string(), ..error.error.into() }
    }
}

#[cfg(feature = "full")]
impl From<BindingSetsError> for Failure {
    fn from(error: BindingSetsError) -> Self {
        Failure::new("invalid-binding-sets", error)
    }
}

#[cfg(feature = "full")]
impl From<CeleryConfigError> for Failure {
    fn from(error: CeleryConfigError) -> Self {
        Failure::new("invalid-celery-config", error)
    }
}

#[cfg(feature = "full")]
impl From<LineError> for Failure {
    fn from(error: LineError) -> Self {
        Failure::new(error.code(), error)
    }
}

macro_rules! failures {
    ($($error:ident),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Error::from(error).into()
            }
        }
    )*};
}

failures!(BindError, DeclareError, DeleteError, PublishError);
