//! A plan as the arguments of the script that runs it.

use std::collections::HashSet;

use ::redis::{Script, ScriptInvocation};
use keyrail_core::kombu::Plan;

use super::{
    super::needs::{Need, set_in},
    once::Once,
};
use crate::{ExecuteError, registry::LONGEST};

/// Commands are sent in parts of about this size. Redis takes no argument beyond 512 MiB.
const PART: usize = 8 << 20;

/// The script with the plan's keys and commands.
///
/// # Errors
/// An argument that is too long for Redis.
pub(super) fn invocation<'s>(
    script: &'s Script,
    plan: &Plan,
    needs: &[Need<'_>],
) -> Result<ScriptInvocation<'s>, ExecuteError> {
    let mut invocation = script.prepare_invoke();
    let mut keys = HashSet::new();
    let mut part = Vec::new();
    for need in needs {
        if need.is_key && keys.insert(need.key) {
            invocation.key(need.key);
        }
        for text in [need.kind.unwrap_or_default(), need.command, need.key] {
            pack(&mut part, text.as_bytes())?;
        }
    }
    invocation.arg(&part);
    part.clear();
    for command in &plan.commands {
        let args = command.args();
        number(&mut part, args.len())?;
        for arg in args {
            pack(&mut part, &arg)?;
        }
        if part.len() >= PART {
            invocation.arg(&part);
            part.clear();
        }
    }
    if !part.is_empty() {
        invocation.arg(&part);
    }
    Ok(invocation)
}

/// The same, at most once: the marker tells who ran it before what was noted then.
pub(super) fn invocation_once<'s>(
    script: &'s Script,
    plan: &Plan,
    needs: &[Need<'_>],
    once: &Once,
) -> Result<ScriptInvocation<'s>, ExecuteError> {
    let mut invocation = invocation(script, plan, needs)?;
    invocation.key(&once.marker);
    let window = u64::try_from(once.window.as_millis()).unwrap_or(u64::MAX);
    invocation.arg(window.clamp(1, LONGEST)).arg(&once.note);
    Ok(invocation)
}

/// The same, unless one of these fields is there with another value.
pub(super) fn invocation_adding<'s>(
    script: &'s Script,
    plan: &Plan,
    needs: &[Need<'_>],
    hashes: &[String],
) -> Result<ScriptInvocation<'s>, ExecuteError> {
    let mut invocation = invocation(script, plan, needs)?;
    let mut fields = Vec::new();
    for (key, field, value) in set_in(plan, hashes) {
        for text in [key.as_bytes(), field.as_bytes(), value] {
            pack(&mut fields, text)?;
        }
    }
    invocation.arg(&fields);
    Ok(invocation)
}

fn pack(part: &mut Vec<u8>, text: &[u8]) -> Result<(), ExecuteError> {
    number(part, text.len())?;
    part.extend_from_slice(text);
    Ok(())
}

fn number(part: &mut Vec<u8>, number: usize) -> Result<(), ExecuteError> {
    let number = u32::try_from(number).map_err(|_| ExecuteError::Server {
        message: "an argument of 4 GiB or more is more than Redis takes".into(),
    })?;
    part.extend_from_slice(&number.to_le_bytes());
    Ok(())
}
