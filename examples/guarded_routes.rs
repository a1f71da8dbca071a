//! A server of your own: the routes of jwt-server, and two of yours behind its guard.
//!
//! Run it with `cargo run --example guarded_routes -- 127.0.0.1:8000 data`.

use std::{env, error::Error};

use jwt_server::{Api, Auth, Config, EventLog, Guard, Principal, Role, recover, serve, server::Listeners};
use tokio::signal;
use warp::Filter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut config = Config::default();
    let address = arguments.next();
    config.server.listen = vec![address.as_deref().unwrap_or("localhost:8000").parse()?];
    config.store.path = arguments.next().unwrap_or_else(|| "data".into()).into();

    let auth = Auth::open(&config, EventLog::listeners()).await?;

    // GET /notes: for users with the role CLIENT.
    let notes = warp::path!("notes")
        .and(warp::get())
        .and(auth.guard().any_role([Role::CLIENT]))
        .map(|user: Principal| format!("The notes of {}.\n", user.username()));

    // DELETE /notes/<owner>: for users with the role ADMIN.
    let clear = warp::path!("notes" / String)
        .and(warp::delete())
        .and(auth.guard().any_role([Role::ADMIN]))
        .map(|owner, user: Principal| format!("{} cleared the notes of {owner}.\n", user.username()));

    let api = Api::new(auth.clone(), &config);
    let routes = api.routes().or(notes).or(clear).recover(recover);

    let listeners = Listeners::bind(&config.server)?;
    for address in listeners.addresses() {
        println!("listening on http://{address}");
    }
    let stop = async { signal::ctrl_c().await.unwrap_or_default() };
    serve(listeners, routes, &config.server, stop).await?;
    Ok(())
}
