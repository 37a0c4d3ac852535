//! Mutation testing of the template and its checks: each key and each list element is removed in turn, and
//! the emulator must reject the mutant or a check must fail. So the loss of a permission, variable, filter,
//! setting, route or alarm is detected, and no check is ineffective.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::thread;

use yaml_serde::Value as Yaml;

use crate::assert_none;
use crate::template::{Template, committed_yaml};
use crate::template_checks;

/// Paths whose removal no check detects, with the reason; `*` matches one step.
const EXEMPT: &[(&str, &str)] =
    &[("AWSTemplateFormatVersion", "the only version, and the default"), ("Description", "documentation")];

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// A path to a key or list element of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NodePath(Vec<Step>);

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let slash = if index == 0 { "" } else { "/" };
            match step {
                Step::Key(key) => write!(f, "{slash}{key}")?,
                Step::Item(item) => write!(f, "{slash}{item}")?,
            }
        }
        Ok(())
    }
}

impl NodePath {
    /// Collects all paths below `here`, parents first.
    fn all(value: &Yaml, here: &mut Vec<Step>, found: &mut Vec<NodePath>) {
        let mut child = |step: Step, value: &Yaml| {
            here.push(step);
            found.push(NodePath(here.clone()));
            Self::all(value, here, found);
            here.pop();
        };
        match value {
            Yaml::Mapping(mapping) => {
                for (key, value) in mapping {
                    child(Step::Key(key.as_str().unwrap().to_owned()), value);
                }
            }
            Yaml::Sequence(list) => {
                for (index, value) in list.iter().enumerate() {
                    child(Step::Item(index), value);
                }
            }
            Yaml::Tagged(tagged) => Self::all(&tagged.value, here, found),
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => {}
        }
    }

    /// Removes the node.
    fn remove_from(&self, template: &mut Yaml) {
        let (last, before) = self.0.split_last().unwrap();
        let inside = before.iter().fold(template, |value, step| match (untagged(value), step) {
            (Yaml::Mapping(mapping), Step::Key(key)) => mapping.get_mut(key.as_str()).unwrap(),
            (Yaml::Sequence(list), Step::Item(index)) => &mut list[*index],
            (other, step) => panic!("{step:?} does not lead into {other:?}"),
        });
        match (untagged(inside), last) {
            (Yaml::Mapping(mapping), Step::Key(key)) => drop(mapping.remove(key.as_str()).unwrap()),
            (Yaml::Sequence(list), Step::Item(index)) => drop(list.remove(*index)),
            (other, step) => panic!("{step:?} is not in {other:?}"),
        }
    }

    fn matches(&self, pattern: &str) -> bool {
        let steps: Vec<String> = self.0.iter().map(|step| NodePath(vec![step.clone()]).to_string()).collect();
        let expected: Vec<&str> = pattern.split('/').collect();
        steps.len() == expected.len()
            && expected.iter().zip(&steps).all(|(expected, step)| *expected == "*" || expected == step)
    }

    /// Returns the category of the node, for the statistics.
    fn category(&self, template: &Yaml) -> &'static str {
        let keys: Vec<&str> = self
            .0
            .iter()
            .map(|step| match step {
                Step::Key(key) => key.as_str(),
                Step::Item(_) => "*",
            })
            .collect();
        let resource_type = || template["Resources"][keys[1]]["Type"].as_str().unwrap_or_default();
        match keys.as_slice() {
            ["Resources", _, "Properties", "Policies", .., "Action", "*"] => "IAM actions",
            ["Resources", _, "Properties", "Policies", .., "Resource", "*"] => "resources of IAM actions",
            [.., "Environment", "Variables", _] => "environment variables",
            ["Resources", _, "Properties", "FilterPolicy", ..] => "filter policies",
            ["Resources", _, "Properties", _, ..] if resource_type() == "AWS::SQS::Queue" => "queue settings",
            ["Resources", id, "Properties", "Events", event]
                if template["Resources"][*id]["Properties"]["Events"][*event]["Type"].as_str()
                    == Some("Api") =>
            {
                "routes"
            }
            _ => "other keys and elements",
        }
    }
}

fn untagged(value: &mut Yaml) -> &mut Yaml {
    match value {
        Yaml::Tagged(tagged) => untagged(&mut tagged.value),
        other => other,
    }
}

/// Returns the violations of a template.
fn violations(template: &Template) -> impl Iterator<Item = String> {
    template_checks::all().flat_map(|check| check(template))
}

/// Returns whether the mutant without this node is killed: it is rejected, or has a violation that is not in
/// `before`.
fn is_killed(yaml: &Yaml, before: &BTreeSet<String>, path: &NodePath) -> bool {
    let mut mutant = yaml.clone();
    path.remove_from(&mut mutant);
    match Template::new(mutant) {
        Err(_) => true,
        Ok(template) => violations(&template).any(|violation| !before.contains(&violation)),
    }
}

/// The mutants of one category.
#[derive(Debug, Default)]
struct Tally {
    killed: usize,
    total: usize,
}

#[test]
fn every_removal_from_the_template_is_detected() {
    let yaml = committed_yaml();
    let mut paths = Vec::new();
    NodePath::all(&yaml, &mut Vec::new(), &mut paths);
    let (exempt, paths): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| EXEMPT.iter().any(|(pattern, _)| path.matches(pattern)));
    // Empty, unless another test fails too.
    let before: BTreeSet<String> = violations(Template::committed()).collect();

    let threads = thread::available_parallelism().map_or(2, usize::from);
    let share = paths.len().div_ceil(threads);
    let results: Vec<(&NodePath, bool)> = thread::scope(|scope| {
        let (yaml, before) = (&yaml, &before);
        let run = |paths: &'_ [NodePath]| paths.iter().map(|path| is_killed(yaml, before, path)).collect();
        let running: Vec<_> =
            paths.chunks(share).map(|paths| scope.spawn(move || -> Vec<bool> { run(paths) })).collect();
        let killed = running.into_iter().flat_map(|thread| thread.join().unwrap());
        paths.iter().zip(killed).collect()
    });

    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for (path, killed) in &results {
        let tally = tallies.entry(path.category(&yaml)).or_default();
        tally.total += 1;
        tally.killed += usize::from(*killed);
    }
    for (category, Tally { killed, total }) in &tallies {
        eprintln!("{killed:>5} of {total:>5} mutants killed: {category}");
    }
    eprintln!("{:>5} exempt", exempt.len());
    let unused = EXEMPT.iter().filter(|(pattern, _)| !exempt.iter().any(|path| path.matches(pattern)));
    let unused = unused.map(|(pattern, _)| format!("remove {pattern} from EXEMPT: no path matches it"));
    let survived = results.iter().filter(|(_, killed)| !killed);
    let survived = survived.map(|(path, _)| format!("{path}: no check detects its removal; add a check"));
    assert_none(unused.chain(survived));
}
