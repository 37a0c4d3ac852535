//! A race that random workloads rarely produce: an order begins to wait while a walk through the back-order queue of
//! its item ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::Simulation;
use crate::client::Shared;
use crate::connector::Mutation;
use crate::crash::{Client, Make, opening};
use crate::inspection;
use crate::model::Model;
use crate::model::request::{Adjust, Transition};
use crate::observer::ModelObserver;
use crate::simulation::Settings;

/// An order of 2 waited and was cancelled, so the lower bound is 2. Then stock of 2 arrives, and its walk finds an empty
/// queue, while an order of 3 begins to wait. Returns the violations.
pub fn run(seed: u64, mutation: Option<Arc<dyn Mutation>>) -> Vec<String> {
    let empty: Make = |fixture| fixture.adjust(Adjust::To(0, None));
    let preparation: [Make; 5] = [
        empty,
        |fixture| fixture.sale(&[(0, 2)]),
        |fixture| fixture.sales(0, Transition::Confirm),
        |fixture| fixture.sales(0, Transition::Cancel),
        |fixture| fixture.sale(&[(0, 3)]),
    ];
    let arrival: Make = |fixture| fixture.adjust(Adjust::By(2));
    let order: Make = |fixture| fixture.sales(1, Transition::Confirm);
    Simulation::run(seed, async move {
        let model = Arc::new(Mutex::new(Model::default()));
        model.lock().unwrap().open_registration = true;
        let observer: Box<ModelObserver> = Box::new(ModelObserver(Arc::clone(&model)));
        let simulation =
            Simulation::open(Settings { observer: Some(observer), mutation, ..Settings::new(seed) });
        let shared = Shared::new(Arc::clone(&simulation), model);
        let mut client = Client::new(&shared, "first");
        for make in opening().into_iter().chain(preparation) {
            client.send(make).await;
            simulation.quiesce().await;
        }
        let mut other = Client::new(&shared, "second");
        tokio::join!(client.send(arrival), other.send(order));
        simulation.drain().await;
        inspection::inspect(&shared, &BTreeSet::new()).await;
        shared.model.lock().unwrap().violations.clone()
    })
}
