//! Snapshots, and routers that follow others.

use std::mem;

use keyrail_core::{Follower, Position, Router, Source, Update};
use wasm_bindgen::prelude::*;

use crate::{
    Core,
    error::Failure,
    fields::{Read, node},
    held::Held,
    node::Node,
    operation,
    write::write,
};

#[wasm_bindgen]
impl Core {
    #[wasm_bindgen(js_name = fromSnapshot)]
    pub fn from_snapshot(bytes: &[u8], seed: u64) -> Result<Core, JsValue> {
        Ok(Router::from_snapshot_with_seed(bytes, seed).map_err(Failure::from)?.into())
    }

    #[wasm_bindgen(js_name = toSnapshot)]
    pub fn to_snapshot(&self) -> Vec<u8> {
        self.router().snapshot()
    }

    /// A copy that knows nothing yet.
    pub fn follower(seed: u64) -> Core {
        Core { held: Held::Follower(Follower::with_seed(seed)), ..Router::new().into() }
    }

    /// Writes changes down from now on. False if it does so already or follows.
    #[wasm_bindgen(js_name = becomeSource)]
    pub fn become_source(&mut self, epoch: u64, capacity: usize) -> bool {
        let Held::Own(router) = &mut self.held else { return false };
        self.held = Held::Source(Source::new(mem::take(router), epoch, capacity));
        true
    }

    pub fn follows(&self) -> bool {
        matches!(self.held, Held::Follower(_))
    }

    /// The history that a source or a follower is in.
    pub fn epoch(&self) -> Option<u64> {
        match &self.held {
            Held::Own(_) => None,
            Held::Source(source) => Some(source.position().epoch),
            Held::Follower(follower) => follower.position().map(|position| position.epoch),
        }
    }

    /// The changes after a position; nothing if only a snapshot helps.
    #[wasm_bindgen(js_name = changesSince)]
    pub fn changes_since(&self, epoch: u64, revision: f64) -> Result<Option<Vec<u8>>, JsValue> {
        let Held::Source(source) = &self.held else { return Ok(None) };
        let position = Position { epoch, revision: revision as u64 };
        // Asking for what cannot be known would make a snapshot.
        match source.since(Some(position)) {
            Update::Changes { changes, .. } => write(&changes).map(Some),
            Update::Snapshot { .. } => Ok(None),
        }
    }

    #[wasm_bindgen(js_name = followSnapshot)]
    pub fn follow_snapshot(&mut self, epoch: u64, bytes: Vec<u8>) -> Result<(), JsValue> {
        self.follow(Update::Snapshot { epoch, bytes })
    }

    #[wasm_bindgen(js_name = followChanges)]
    pub fn follow_changes(&mut self, epoch: u64, revision: f64, changes: &[u8]) -> Result<(), JsValue> {
        let Node::List(changes) = node(changes)? else { return Ok(()) };
        let changes = changes.iter().map(operation::change).collect::<Read<_>>().map_err(Failure::from)?;
        self.follow(Update::Changes { since: Position { epoch, revision: revision as u64 }, changes })
    }
}

impl Core {
    fn follow(&mut self, update: Update) -> Result<(), JsValue> {
        let Held::Follower(follower) = &mut self.held else { return Ok(()) };
        self.answers.forget();
        Ok(follower.follow(update).map_err(Failure::from)?)
    }
}
