use std::collections::HashSet;

use keyrail_workload::Kind;
use mqtt_topic_engine::{TopicPath, TopicPatternPath, topic_matcher::TopicMatcherNode};

use crate::engine::{Engine, Job, mqtt};

/// The trie below the crate's `TopicRouter`, which looks each hit up once more.
pub(crate) struct MqttTopicEngine {
    root: TopicMatcherNode<HashSet<u32>>,
    found: Vec<u32>,
}

impl Engine for MqttTopicEngine {
    fn rewrite(keys: String) -> String {
        keys.replace('.', "/")
    }

    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Topic)?;
        let mut root: TopicMatcherNode<HashSet<u32>> = TopicMatcherNode::new();
        for row in job.rows() {
            let (pattern, queue) = row?;
            let path = TopicPatternPath::try_from(mqtt(pattern)).map_err(|error| error.to_string())?;
            root.get_or_create_subscription_table(&path).insert(queue);
        }
        Ok(MqttTopicEngine { root, found: Vec::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, key: &str) {
        self.found.clear();
        let Ok(topic) = TopicPath::new(key) else { return };
        for queues in self.root.find_by_path(&topic) {
            self.found.extend(queues);
        }
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}
