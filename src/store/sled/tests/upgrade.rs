//! A database of the first schema, made here as the first versions of this server made it, is upgraded by the store's own open.

use std::{fs, path::Path};

use super::{HOUR, NOW, config};
use crate::{
    domain::{
        ApiToken, ClientAddress, DeviceSignIn, DeviceTokenHash, Network, PageLimit, Session, User, UserQuery,
    },
    event::Listeners,
    store::{
        self,
        backend::{Store, StoreCounts},
        records::{api_token::ApiTokenRecord, session::SessionRecord, user::UserRecord},
        sled::trees::Trees,
        users::{UserCreation, Users as _},
    },
};

struct FirstSchema {
    directory: tempfile::TempDir,
    users: Vec<User>,
    home: Network,
    session: Session,
    api_token: ApiToken,
}

/// A record as it was before records had versions.
fn unversioned(record: Vec<u8>) -> Vec<u8> {
    let record = String::from_utf8(record).unwrap();
    assert!(record.starts_with("{\"v\":1,"), "{record}");
    record.replacen("\"v\":1,", "", 1).into_bytes()
}

/// Every user, by name.
async fn listed(store: &dyn Store) -> Vec<User> {
    let query = UserQuery {
        limit: PageLimit::MAX,
        ..UserQuery::default()
    };
    let page = store.list_users(query, NOW).await.unwrap();
    assert_eq!(page.next, None);
    page.users.iter().map(|user| User::clone(user)).collect()
}

impl FirstSchema {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let users: Vec<_> = (0..50).map(|n| User::sample(&format!("user-{n}"), NOW)).collect();
        let home = ClientAddress::new([192, 0, 2, 1].into()).network();
        let (session, _) = Session::start(users[0].id, HOUR, HOUR, NOW);
        let api_token = ApiToken::sample_of(users[1].id, NOW);
        let first = Self {
            directory,
            users,
            home,
            session,
            api_token,
        };
        first.write();
        first
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self) {
        let db = sled::open(self.path()).unwrap();
        let put = |tree: &str, key: &[u8], value: &[u8]| {
            db.open_tree(tree).unwrap().insert(key, value).unwrap();
        };
        for user in &self.users {
            let id = user.id.as_bytes();
            put("users", id, &unversioned(UserRecord::of(user).write().unwrap()));
            put("usernames", user.username.as_str().as_bytes(), id);
            let at_home = [id.as_slice(), &self.home.to_bytes()].concat();
            put("networks", &at_home, &NOW.as_secs().to_be_bytes());
        }
        let session = unversioned(SessionRecord::write(&self.session).unwrap());
        put("sessions", self.session.id.as_bytes(), &session);
        let token = unversioned(ApiTokenRecord::write(&self.api_token).unwrap());
        put("api_tokens", self.api_token.id.as_bytes(), &token);
        put("meta", b"users", &(self.users.len() as u64).to_be_bytes());
        put("meta", b"schema", &1_u32.to_be_bytes());
        db.flush().unwrap();
        fs::write(self.path().join("schema"), "A jwt-server database lives here.\n").unwrap();
    }

    async fn check(&self, store: &dyn Store) {
        let mut users = self.users.clone();
        users.sort_by(|one, other| one.username.cmp(&other.username));
        assert_eq!(listed(store).await, users);
        for user in &self.users {
            let found = store.user_by_name(&user.username).await.unwrap();
            assert_eq!(found.as_deref(), Some(user));
            let noted = store.last_sign_in(user.id, self.home).await.unwrap();
            assert_eq!(noted, Some(NOW));
        }
        let token = self.session.tokens[0].token.id;
        let accepted = store.accepted(self.session.id, token, NOW).await.unwrap();
        assert_eq!(*accepted.unwrap().user, self.users[0]);
        let accepted = store.api_token_accepted(self.api_token.hash, NOW).await.unwrap();
        assert_eq!(*accepted.unwrap().user, self.users[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_schema_is_upgraded_when_opened() {
    let first = FirstSchema::new();
    for _ in 0..2 {
        let store = store::open(&config(first.path()), NOW, Listeners::default())
            .await
            .unwrap();
        first.check(store.as_ref()).await;
        let counts = StoreCounts {
            users: 50,
            sessions: Some(1),
        };
        assert_eq!(store.count().await.unwrap(), counts);
        let again = store.create_user(User::sample("user-7", NOW), None).await;
        assert_eq!(again.unwrap(), UserCreation::UsernameTaken);
    }

    let db = sled::open(first.path()).unwrap();
    let trees = db.tree_names();
    for tree in ["usernames", "networks"] {
        assert!(!trees.iter().any(|name| name == tree.as_bytes()), "{tree}");
    }
    let schema = db.open_tree("meta").unwrap().get("schema").unwrap();
    assert_eq!(schema.as_deref(), Some(3_u32.to_be_bytes().as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_from_before_there_were_devices_take_device_tokens() {
    let first = FirstSchema::new();
    let token = DeviceTokenHash::from_bytes([7; 32]);
    let open = async || {
        store::open(&config(first.path()), NOW, Listeners::default())
            .await
            .unwrap()
    };
    let store = open().await;
    for user in &first.users {
        assert_eq!(store.last_sign_in_with(user.id, token).await.unwrap(), None);
    }
    let ada = &first.users[2];
    let (session, _) = Session::start(ada.id, HOUR, HOUR, NOW);
    let given = Some(DeviceSignIn::Given(token));
    assert!(store.open_session(session, 0, 9, given).await.unwrap().is_some());
    drop(store);
    let store = open().await;
    assert_eq!(store.last_sign_in_with(ada.id, token).await.unwrap(), Some(NOW));
    first.check(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upgrade_leaves_the_first_schema_as_it_was() {
    let first = FirstSchema::new();
    let db = sled::open(first.path()).unwrap();
    // A user is missing, so the database is damaged.
    let users = db.open_tree("users").unwrap();
    let lost = users.remove(first.users[3].id.as_bytes()).unwrap().unwrap();
    db.flush().unwrap();
    drop((users, db));
    let refused = store::open(&config(first.path()), NOW, Listeners::default()).await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("some of its users are missing"), "{refused}");
    assert!(refused.contains("left as it was"), "{refused}");

    let db = sled::open(first.path()).unwrap();
    let schema = db.open_tree("meta").unwrap().get("schema").unwrap();
    assert_eq!(schema.as_deref(), Some(1_u32.to_be_bytes().as_slice()));
    db.open_tree("users")
        .unwrap()
        .insert(first.users[3].id.as_bytes(), lost)
        .unwrap();
    db.flush().unwrap();
    drop(db);
    let store = store::open(&config(first.path()), NOW, Listeners::default())
        .await
        .unwrap();
    first.check(store.as_ref()).await;
}

/// A database of the second schema, which had no roster.
async fn second_schema(users: usize) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = super::open(&directory, NOW);
    for n in 0..users {
        let created = store
            .create_user(User::sample(&format!("user-{n}"), NOW), None)
            .await;
        assert_eq!(created.unwrap(), UserCreation::Created);
    }
    drop(store);
    let db = sled::open(directory.path()).unwrap();
    db.drop_tree("roster").unwrap();
    let meta = db.open_tree("meta").unwrap();
    meta.insert("schema", 2_u32.to_be_bytes().as_slice()).unwrap();
    db.flush().unwrap();
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_a_roster_gets_one_when_opened() {
    let directory = second_schema(300).await;
    for _ in 0..2 {
        let store = super::open(&directory, NOW);
        assert_eq!(listed(&store).await.len(), 300);
        assert!(store.committer.read(Trees::roster_is_whole).unwrap());
    }
    let db = sled::open(directory.path()).unwrap();
    let schema = db.open_tree("meta").unwrap().get("schema").unwrap();
    assert_eq!(schema.as_deref(), Some(3_u32.to_be_bytes().as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_in_doubt_is_made_anew() {
    let directory = second_schema(300).await;
    drop(super::open(&directory, NOW));
    let tally = directory.path().join("tally");
    for was_killed in [false, true] {
        let db = sled::open(directory.path()).unwrap();
        let roster = db.open_tree("roster").unwrap();
        let (key, _) = roster.iter().next().unwrap().unwrap();
        roster.remove(key).unwrap();
        db.flush().unwrap();
        drop((roster, db));
        let left = fs::read_to_string(&tally).unwrap();
        assert!(left.starts_with("clean"), "{left}");
        if was_killed {
            fs::write(&tally, left.replace("clean", "open ")).unwrap();
        }
        let store = super::open(&directory, NOW);
        // Only a database that was not closed in good order is read whole.
        assert_eq!(store.committer.read(Trees::roster_is_whole).unwrap(), was_killed);
        assert_eq!(listed(&store).await.len() == 300, was_killed);
        if was_killed {
            continue;
        }
        store.committer.read(Trees::rebuild_roster).unwrap();
    }
}
