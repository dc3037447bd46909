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
use wasm_bindgen::JsValue;

use crate::node::Problem;

/// What JavaScript gets to see of an error: a message, a stable code, and a broker's answer where there is one.
pub(crate) struct Failure {
    message: String,
    code: &'static str,
    reply: Option<Reply>,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl ToString) -> Self {
        Failure { message: message.to_string(), code, reply: None }
    }
}

/// A text: the code, the scope, code and name of the reply, which are empty if there is none, and the message, a line
/// each. `js/error.ts` makes a `KeyrailError` of it.
impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let (scope, number, name) = match &failure.reply {
            Some(reply) => (reply.scope.as_str(), reply.code.to_string(), reply.name),
            None => ("", String::new(), ""),
        };
        JsValue::from_str(&[failure.code, scope, &number, name, &failure.message].join("\n"))
    }
}

impl From<Problem> for JsValue {
    fn from(problem: Problem) -> Self {
        Failure::from(problem).into()
    }
}

/// A value that has not the form that it should have.
impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::new("invalid-argument", problem.0)
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
