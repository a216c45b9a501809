use super::*;

/// A folder of a test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("webhook-kubeconfig-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Reads a kubeconfig with this cluster and user, in the words of whoever looks at it.
    async fn read(&self, cluster: Value, user: Value) -> Result<Value, String> {
        let kubeconfig = json!({
            "clusters": [{"name": "other"}, {"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}], "preferences": {},
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
        });
        let path = self.write("kubeconfig", &kubeconfig.to_string());
        read(&path, None).await.map(describe).map_err(|error| format!("{error:#}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn describe(access: Access) -> Value {
    let trust = match access.trust {
        Trust::System => "the system's".to_owned(),
        Trust::Pem(pem) => text(pem),
        Trust::File(path, _) => path.display().to_string(),
        Trust::Anybody => "anybody's".to_owned(),
    };
    let authorization = access.authorization.map(|authorization| match authorization {
        Authorization::Fixed(value) => value.to_str().unwrap().to_owned(),
        Authorization::File(_) => "file".to_owned(),
        Authorization::Plugin(_) => "plugin".to_owned(),
    });
    let headers: Vec<String> =
        access.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    json!({
        "url": access.url.to_string(), "trust": trust, "server_name": access.server_name,
        "identity": access.identity.map(text), "authorization": authorization, "headers": headers,
    })
}

#[tokio::test]
async fn says_what_its_context_says() {
    let folder = Folder::new("says");
    folder.write("ca.crt", "CA");
    folder.write("token", "of-a-file");
    let plain = |changes: Value| {
        let mut expected = json!({
            "url": "https://a:1/", "trust": "the system's", "server_name": null, "identity": null,
            "authorization": null, "headers": [],
        });
        for (key, value) in changes.as_object().unwrap() {
            expected[key] = value.clone();
        }
        Ok(expected)
    };
    let server = "https://a:1/";
    let say = |token: &str| json!(["-c", format!("echo '{{\"status\":{{\"token\":\"{token}\"}}}}'")]);
    let exec = json!({"apiVersion": "v1", "command": "sh", "args": say("of-a-program")});
    for (cluster, user, expected) in [
        (json!({"server": server}), json!({}), plain(json!({}))),
        (json!({"server": server}), json!({"token": null, "exec": null}), plain(json!({}))),
        (
            json!({"server": server, "certificate-authority": "ca.crt", "tls-server-name": "b"}),
            json!({"tokenFile": "token"}),
            plain(json!({"trust": "CA", "server_name": "b", "authorization": "file"})),
        ),
        (
            json!({"server": server, "certificate-authority-data": "Q0EtZGF0YQ==", "certificate-authority": "ca.crt"}),
            json!({"client-certificate-data": "Qw==", "client-key-data": "Sw=="}),
            plain(json!({"trust": "CA-data", "identity": "K\nC"})),
        ),
        (
            json!({"server": server, "insecure-skip-tls-verify": true}),
            json!({"username": "u", "password": "p", "token": "t"}),
            plain(json!({"trust": "anybody's", "authorization": "Basic dTpw"})),
        ),
        (
            json!({"server": server}),
            json!({"token": "t", "tokenFile": "missing"}),
            plain(json!({"authorization": "Bearer t"})),
        ),
        (
            json!({"server": server}),
            json!({"exec": exec}),
            plain(json!({"authorization": "Bearer of-a-program"})),
        ),
        (
            json!({"server": server}),
            json!({"as": "a", "as-groups": ["g", "h"], "as-user-extra": {"Scopes/x": ["y"]}}),
            plain(json!({"headers": [
                "impersonate-user: a", "impersonate-group: g", "impersonate-group: h",
                "impersonate-extra-scopes%2fx: y",
            ]})),
        ),
    ] {
        assert_eq!(folder.read(cluster.clone(), user.clone()).await, expected, "{cluster} {user}");
    }
}

#[tokio::test]
async fn says_what_is_wrong_but_no_secret() {
    let folder = Folder::new("wrong");
    let missing = folder.0.join("missing").display().to_string();
    let server = json!({"server": "https://a:1/"});
    let no_file = "No such file or directory (os error 2)";
    for (cluster, user, expected) in [
        (
            json!({}),
            json!({}),
            "its cluster's server is ``: expected a URL such as `https://10.0.0.1:6443`".to_owned(),
        ),
        (
            json!({"server": "a:1"}),
            json!({}),
            "its cluster's server is `a:1`: expected a URL such as `https://10.0.0.1:6443`".to_owned(),
        ),
        (json!({"server": 5}), json!({}), "its cluster `c`: expected a string".to_owned()),
        (server.clone(), json!({"token": 12345}), "its user `u`: expected a string".to_owned()),
        (
            server.clone(),
            json!({"exec": {"command": "x"}}),
            "its user `u`: missing field `apiVersion`".to_owned(),
        ),
        (
            server.clone(),
            json!({"token": "secret\n"}),
            "`token`: it holds characters that a header cannot hold".to_owned(),
        ),
        (server.clone(), json!({"client-key-data": "!"}), "`client-key`: expected base64".to_owned()),
        (
            server.clone(),
            json!({"client-key-data": "Sw=="}),
            "its user has one of `client-certificate` and `client-key`: expected both".to_owned(),
        ),
        (
            server.clone(),
            json!({"client-key": "missing"}),
            format!("`client-key`: cannot read `{missing}`: {no_file}"),
        ),
        (
            server.clone(),
            json!({"tokenFile": "missing"}),
            format!("cannot read the token `{missing}`: {no_file}"),
        ),
        (
            server.clone(),
            json!({"exec": {"apiVersion": "v1", "command": "./missing"}}),
            format!(
                "cannot use what the program `{}` (`exec`) says: it cannot be started: {no_file}",
                folder.0.join("./missing").display()
            ),
        ),
        (
            server.clone(),
            json!({"auth-provider": {"name": "gcp"}}),
            "its user has an `auth-provider`, which Kubernetes no longer knows: expected `exec`".to_owned(),
        ),
    ] {
        assert_eq!(folder.read(cluster.clone(), user.clone()).await, Err(expected), "{cluster} {user}");
    }
    for (text, expected) in [
        ("", "its `current-context` is ``: expected one of its `contexts`"),
        ("current-context: x", "its `current-context` is `x`: expected one of its `contexts`"),
        (
            "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
            "its context is for the cluster `c`: expected one of its `clusters`",
        ),
    ] {
        let path = folder.write("other", text);
        assert_eq!(format!("{:#}", read(&path, None).await.err().unwrap()), expected);
    }
    let path = folder.write("other", "users: [}");
    let error = format!("{:#}", read(&path, None).await.err().unwrap());
    assert_eq!(error, "1:8: mismatched bracket '[' closed by '}'");
}
