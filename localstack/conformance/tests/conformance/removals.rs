//! Whatever is taken out of the template is missed: every key and every element of every list is removed in turn,
//! and each time the platform refuses the template or a check fails. So no permission, variable, filter, setting,
//! route or alarm can get lost unnoticed, and no check can go blind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::thread;

use yaml_serde::Value as Yaml;

use crate::checks;
use crate::none;
use crate::world::{World, template};

/// What may be taken out unnoticed, and why: `*` is any one step. It is what people read, and what the tools of
/// others check.
const FREE: &[(&str, &str)] = &[
    ("AWSTemplateFormatVersion", "there is only this one, and it is the default"),
    ("Description", "for people"),
];

/// One step into the template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// The way to something in the template.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place(Vec<Step>);

impl fmt::Display for Place {
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

impl Place {
    /// Every place there is, each before what stands in it.
    fn all(value: &Yaml, here: &mut Vec<Step>, found: &mut Vec<Place>) {
        let mut inside = |step: Step, value: &Yaml| {
            here.push(step);
            found.push(Place(here.clone()));
            Self::all(value, here, found);
            here.pop();
        };
        match value {
            Yaml::Mapping(mapping) => {
                for (key, value) in mapping {
                    inside(Step::Key(key.as_str().unwrap().to_owned()), value);
                }
            }
            Yaml::Sequence(list) => {
                for (index, value) in list.iter().enumerate() {
                    inside(Step::Item(index), value);
                }
            }
            Yaml::Tagged(tagged) => Self::all(&tagged.value, here, found),
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => {}
        }
    }

    /// Takes it out.
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

    fn fits(&self, pattern: &str) -> bool {
        let steps: Vec<String> = self.0.iter().map(|step| Place(vec![step.clone()]).to_string()).collect();
        let wanted: Vec<&str> = pattern.split('/').collect();
        steps.len() == wanted.len()
            && wanted.iter().zip(&steps).all(|(wanted, step)| *wanted == "*" || wanted == step)
    }

    /// What sort of thing stands there.
    fn kind(&self, template: &Yaml) -> &'static str {
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
            ["Resources", _, "Properties", "FilterPolicy", ..] => "filter policies and what they name",
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

/// What is wrong with a template.
fn faults(world: &World) -> impl Iterator<Item = String> {
    checks::all().flat_map(|(_, check)| check(world))
}

/// Whether anybody notices that this is gone: somebody finds a fault that was not there before.
fn is_missed(template: &Yaml, before: &BTreeSet<String>, place: &Place) -> bool {
    let mut without = template.clone();
    place.remove_from(&mut without);
    match World::new(without) {
        Err(_) => true,
        Ok(world) => faults(&world).any(|fault| !before.contains(&fault)),
    }
}

/// What happened to the places of one kind.
#[derive(Debug, Default)]
struct Tally {
    missed: usize,
    removed: usize,
}

#[test]
fn whatever_is_taken_out_of_the_template_is_missed() {
    let template = template();
    let mut places = Vec::new();
    Place::all(&template, &mut Vec::new(), &mut places);
    let (free, places): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|place| FREE.iter().any(|(pattern, _)| place.fits(pattern)));
    // None, unless another test fails too.
    let before: BTreeSet<String> = faults(crate::world::world()).collect();

    let threads = thread::available_parallelism().map_or(2, usize::from);
    let share = places.len().div_ceil(threads);
    let results: Vec<(&Place, bool)> = thread::scope(|scope| {
        let (template, before) = (&template, &before);
        let work =
            |places: &'_ [Place]| places.iter().map(|place| is_missed(template, before, place)).collect();
        let running: Vec<_> =
            places.chunks(share).map(|places| scope.spawn(move || -> Vec<bool> { work(places) })).collect();
        let missed = running.into_iter().flat_map(|thread| thread.join().unwrap());
        places.iter().zip(missed).collect()
    });

    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for (place, missed) in &results {
        let tally = tallies.entry(place.kind(&template)).or_default();
        tally.removed += 1;
        tally.missed += usize::from(*missed);
    }
    for (kind, Tally { missed, removed }) in &tallies {
        eprintln!("{missed:>5} of {removed:>5} {kind} are missed");
    }
    eprintln!("{:>5} may go, for the reasons in FREE", free.len());
    let unused = FREE.iter().filter(|(pattern, _)| !free.iter().any(|place| place.fits(pattern)));
    let unused = unused.map(|(pattern, _)| format!("take {pattern} out of FREE: there is no such thing"));
    let lost = results.iter().filter(|(_, missed)| !missed);
    none(unused.chain(lost.map(|(place, _)| format!("{place}: nobody misses it; add a check"))));
}
