//! The pieces of a request, each alone, through the library's public interface. Where an algorithm matters, once for each
//! that this build of the server has.

mod passwords;
mod refresh;
mod server;
mod store;
mod tokens;

fn main() {
    divan::main();
}
