//! One engine a file.

pub(crate) mod aho_corasick;
pub(crate) mod copy;
pub(crate) mod keyrail;
pub(crate) mod map;
pub(crate) mod matchit;
pub(crate) mod mqtt_topic_engine;
pub(crate) mod quill;
pub(crate) mod regex_set;
pub(crate) mod scan;
pub(crate) mod submap;
pub(crate) mod zenoh;
