use keyrail_workload::Kind;
use zenoh_keyexpr::{
    OwnedKeyExpr, keyexpr,
    keyexpr_tree::{IKeyExprTree, IKeyExprTreeMut, IKeyExprTreeNode, KeBoxTree},
};

use crate::engine::{Engine, Job, words};

/// A tree of key expressions with AMQP's full semantics: `**` takes any number of words anywhere.
pub(crate) struct Zenoh {
    tree: KeBoxTree<Vec<u32>>,
    found: Vec<u32>,
}

impl Engine for Zenoh {
    fn rewrite(keys: String) -> String {
        keys.replace('.', "/")
    }

    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Topic)?;
        let mut tree: KeBoxTree<Vec<u32>> = KeBoxTree::new();
        for row in job.rows() {
            let (pattern, queue) = row?;
            // Several patterns may have one canonical form, as `#.*` and `*.#` do.
            let expression = OwnedKeyExpr::autocanonize(words(pattern, "/", "*", "**"));
            let expression = expression.map_err(|error| error.to_string())?;
            match tree.weight_at_mut(&expression) {
                Some(queues) => queues.push(queue),
                None => drop(tree.insert(&expression, vec![queue])),
            }
        }
        Ok(Zenoh { tree, found: Vec::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, key: &str) {
        self.found.clear();
        let Ok(key) = keyexpr::new(key) else { return };
        for node in self.tree.nodes_including(key) {
            self.found.extend(node.weight().into_iter().flatten());
        }
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}
