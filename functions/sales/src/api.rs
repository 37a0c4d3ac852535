//! Routes and handlers.

use std::sync::Arc;

use axum::extract::State;
use erp_contracts::Event;
use erp_domain::id::Order;
use erp_domain::{PartyId, PartyKind};
use erp_http::{
    Fields, FinanceManager, FromBody, IfMatch, JsonRequest, ListQuery, Manager, PageParams, PathId, Problem,
    ProblemKind, Reply, openapi, reply,
};
use erp_orders::{LineInput, MAX_LINES, OrderInput, OrderItem, Shortage, history, parse_name};
use erp_service::{Committer, StoredResponse};
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::{IllegalTransition, OrderSummary, SalesOrder, SalesOrderError, SalesStatus};
use crate::service::SalesOrders;

/// The content of a sales order.
#[derive(ToSchema)]
struct SalesOrderRequest {
    /// The customer.
    customer_id: PartyId,
    /// The lines; they keep their order.
    #[schema(min_items = 1, max_items = 99)]
    items: Vec<LineInput>,
}

impl FromBody for SalesOrderRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let customer_id = fields.text("customer_id", str::parse);
        let items = fields.list("items", 1, MAX_LINES);
        Some(Self { customer_id: customer_id?, items: items? })
    }
}

impl From<SalesOrderRequest> for OrderInput {
    fn from(request: SalesOrderRequest) -> Self {
        Self { party_id: request.customer_id, lines: request.items }
    }
}

/// Options of a confirmation.
#[derive(Default, ToSchema)]
struct ConfirmRequest {
    /// Rejects the confirmation with 409 `insufficient_stock` unless every item is available now.
    #[schema(default = false, required = false)]
    require_stock: bool,
}

impl FromBody for ConfirmRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let require_stock = fields.optional_bool("require_stock")?;
        Some(Self { require_stock: require_stock.unwrap_or(false) })
    }
}

/// A sales order with its lines.
#[derive(Serialize, ToSchema)]
struct SalesOrderData<'a> {
    order: &'a OrderSummary,
    items: Vec<OrderItem>,
}

impl<'a> From<&'a SalesOrder> for SalesOrderData<'a> {
    fn from(order: &'a SalesOrder) -> Self {
        Self { order: order.summary(), items: OrderItem::all(order.id(), order.lines()) }
    }
}

/// The filters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct SalesOrderFilter {
    /// Only orders of this status.
    status: Option<SalesStatus>,
    /// Only orders of this customer.
    customer_id: Option<PartyId>,
}

/// What the handlers use.
pub struct Api {
    /// The use cases.
    pub orders: SalesOrders,
    /// Commits their changes.
    pub committer: Committer,
}

type Service = State<Arc<Api>>;

/// Returns the routes with their OpenAPI description.
pub fn router(api: Api) -> OpenApiRouter {
    routes().with_state(Arc::new(api))
}

/// Returns the OpenAPI description of the routes.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list_sales_orders, create_sales_order))
        .routes(routes!(get_sales_order, update_sales_order))
        .routes(routes!(confirm_sales_order))
        .routes(routes!(pay_sales_order))
        .routes(routes!(cancel_sales_order))
        .routes(routes!(list_sales_order_events))
}

/// List sales orders, newest first.
///
/// The list does not contain the lines.
#[utoipa::path(get, path = "/api/sales/orders", tag = "sales orders", params(PageParams, SalesOrderFilter), responses((status = 200, body = [OrderSummary])))]
async fn list_sales_orders(_: Manager, State(api): Service, mut query: ListQuery) -> Result<Reply, Problem> {
    let filter = SalesOrderFilter {
        status: query.filter("status", parse_name),
        customer_id: query.filter("customer_id", str::parse),
    };
    let page = query.finish()?;
    let orders = api.orders.store.list(filter.status, filter.customer_id, page.request).await?;
    page.reply("Sales orders retrieved successfully", &orders)
}

/// Create a sales order.
///
/// It is a draft until it is confirmed.
#[utoipa::path(post, path = "/api/sales/orders", tag = "sales orders", request_body = SalesOrderRequest, responses((status = 201, body = SalesOrderData)))]
async fn create_sales_order(_: Manager, State(api): Service, request: JsonRequest) -> Result<Reply, Problem> {
    let input = request.read::<SalesOrderRequest>()?.into();
    Ok(api.committer.commit(&request.write, || api.orders.create(&input), created).await?.into())
}

/// Get a sales order.
#[utoipa::path(get, path = "/api/sales/orders/{id}", tag = "sales orders", params(PathId<Order>), responses((status = 200, body = SalesOrderData)))]
async fn get_sales_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
) -> Result<Reply, Problem> {
    Ok(render("retrieved", &api.orders.get(id).await?)?.into())
}

/// Update a draft sales order.
///
/// Customer and lines are replaced.
#[utoipa::path(put, path = "/api/sales/orders/{id}", tag = "sales orders", params(PathId<Order>), request_body = SalesOrderRequest, responses((status = 200, body = SalesOrderData)))]
async fn update_sales_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let input = request.read::<SalesOrderRequest>()?.into();
    let decide = || api.orders.update(id, &input, &precondition);
    Ok(api.committer.commit(&request.write, decide, |order| render("updated", order)).await?.into())
}

/// Confirm a draft sales order.
///
/// Inventory allocates the stock a moment later, or puts the order into the back-order queue: see
/// `stock_status`. 409 `party_gone` if the customer was deleted.
#[utoipa::path(post, path = "/api/sales/orders/{id}/confirm", tag = "sales orders", params(PathId<Order>), request_body = Option<ConfirmRequest>, responses((status = 200, body = SalesOrderData)))]
async fn confirm_sales_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let ConfirmRequest { require_stock } = request.read_or_default()?;
    let decide = || api.orders.confirm(id, require_stock, &precondition, &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, transitioned).await?.into())
}

/// Pay a confirmed sales order.
///
/// Records that the customer has paid the total.
#[utoipa::path(post, path = "/api/sales/orders/{id}/pay", tag = "sales orders", params(PathId<Order>), responses((status = 200, body = SalesOrderData)))]
async fn pay_sales_order(
    _: FinanceManager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    request.expect_empty()?;
    let decide = || api.orders.pay(id, &precondition, &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, transitioned).await?.into())
}

/// Cancel a draft or confirmed sales order.
///
/// Inventory releases the allocated stock a moment later.
#[utoipa::path(post, path = "/api/sales/orders/{id}/cancel", tag = "sales orders", params(PathId<Order>), responses((status = 200, body = SalesOrderData)))]
async fn cancel_sales_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    request.expect_empty()?;
    let decide = || api.orders.cancel(id, &precondition, &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, transitioned).await?.into())
}

/// List the events of a sales order, oldest first.
///
/// These are its transitions and the decisions of inventory. A draft has none.
#[utoipa::path(get, path = "/api/sales/orders/{id}/events", tag = "sales orders", params(PathId<Order>, PageParams), responses((status = 200, body = [Event])))]
async fn list_sales_order_events(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    query: ListQuery,
) -> Result<Reply, Problem> {
    let page = query.finish()?;
    let events = history::page(api.orders.history(id).await?, page.request);
    page.reply("Sales order events retrieved successfully", &events)
}

fn created(order: &SalesOrder) -> Result<StoredResponse, serde_json::Error> {
    let location = format!("/api/sales/orders/{}", order.id());
    let data = SalesOrderData::from(order);
    reply::created("Sales order created successfully", &data, order.version(), location)
}

/// Renders an order after a transition, whose participle is the name of the new status.
fn transitioned(order: &SalesOrder) -> Result<StoredResponse, serde_json::Error> {
    render(order.status().into(), order)
}

fn render(participle: &str, order: &SalesOrder) -> Result<StoredResponse, serde_json::Error> {
    let message = format!("Sales order {participle} successfully");
    reply::resource(&message, &SalesOrderData::from(order), order.version())
}

impl From<SalesOrderError> for Problem {
    fn from(error: SalesOrderError) -> Self {
        let illegal = |found: SalesStatus, rule: String| {
            let detail = format!("This sales order is {found}; {rule}.");
            Self::new(ProblemKind::IllegalTransition, detail).with("status_found", json!(found))
        };
        match error {
            SalesOrderError::NotFound => Self::not_found("Sales order"),
            SalesOrderError::Invalid(errors) => Self::invalid(
                errors.into_iter().map(|error| error.field_error(PartyKind::Customer)).collect(),
            ),
            SalesOrderError::IllegalTransition(IllegalTransition { found, transition }) => {
                illegal(found, format!("it cannot be {}", transition.target()))
            }
            SalesOrderError::NotADraft(found) => illegal(found, "only drafts can be changed".to_owned()),
            SalesOrderError::CustomerGone(customer_id) => {
                let detail =
                    format!("The customer {customer_id} was deleted: change the draft or cancel it.");
                Self::new(ProblemKind::PartyGone, detail).with("customer_id", json!(customer_id))
            }
            SalesOrderError::InsufficientStock(shortages) => insufficient_stock(&shortages),
            SalesOrderError::VersionMismatch(found) => Self::version_mismatch(found),
        }
    }
}

/// Lists the shortage of each item, with an error at each of its lines.
fn insufficient_stock(shortages: &[Shortage]) -> Problem {
    let sentences = shortages.iter().map(|Shortage { item_id, wanted, available, .. }| {
        format!("item {item_id}: {wanted} required, {available} available")
    });
    let detail = format!("Not enough in stock: {}.", sentences.collect::<Vec<_>>().join("; "));
    let problem = Problem::new(ProblemKind::InsufficientStock, detail).with("shortages", json!(shortages));
    let mut lines: Vec<(usize, i64)> =
        shortages.iter().flat_map(|short| short.lines.iter().map(|line| (*line, short.available))).collect();
    lines.sort_unstable();
    lines.into_iter().fold(problem, |problem, (line, available)| {
        problem.at(&format!("/items/{line}/quantity"), &format!("only {available} are available"))
    })
}
