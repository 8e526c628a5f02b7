import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, stockClient, type Ran } from "../clients/clients.ts";
import { DemoWorld, until, whyNoBoxes, type Asking, type Words } from "./demo-world.ts";

// Stock kubectl against a store with real containers, command by command, as a person types them.
const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();
const manifests = join(import.meta.dirname, "manifests");
const image = "cortado.local/order:1";

const ask = (words: Words, options?: Asking): Promise<Ran> => world.ask("tools", words, options);
const tell = (words: Words, options?: Asking): Promise<string> => world.tell("tools", words, options);
const file = (name: string): string => join(world.folder, name);
const anyPod = (): Promise<string> =>
  tell("get pods -l app=web --field-selector status.phase=Running -o jsonpath={.items[0].metadata.name}");
const settled = (name: string): Promise<string> => tell(`rollout status deployment/${name} --timeout=30s`);

before(async () => {
  if (missing !== undefined) return;
  await world.start();
  await tell("create namespace tools");
  await until(
    "the namespace's account",
    async () => (await ask("get serviceaccount default")).code === 0,
    5_000,
  );
  cpSync(join(manifests, "web.yaml"), file("web.yaml"));
});
after(() => world.end());

test(
  "apply: a file of several kinds is created, is unchanged, is changed; diff says what",
  { skip },
  async () => {
    const made = await tell(["apply", "-f", file("web.yaml")]);
    assert.deepEqual(made.match(/ created$/gm)?.length, 6, made);
    const again = await tell(["apply", "-f", file("web.yaml")]);
    assert.deepEqual(again.match(/ unchanged$/gm)?.length, 6, again);
    assert.equal((await ask(["diff", "-f", file("web.yaml")])).code, 0);
    writeFileSync(file("web.yaml"), readFileSync(file("web.yaml"), "utf8").replace("hello", "good morning"));
    const difference = await ask(["diff", "-f", file("web.yaml")]);
    assert.equal(difference.code, 1);
    assert.match(difference.out, /^-  greeting: hello\n\+  greeting: good morning$/m);
    assert.match(await tell(["apply", "-f", file("web.yaml")]), /^configmap\/words configured$/m);
    assert.match(
      await tell(["apply", "-f", file("web.yaml"), "--dry-run=server"]),
      /^service\/web unchanged \(server dry run\)$/m,
    );
    await settled("web");
  },
);

test(
  "apply --server-side: a field of another manager is a conflict, unless it is forced",
  { skip },
  async () => {
    const theirs = JSON.stringify({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "words" },
      data: { greeting: "moin" },
    });
    const conflict = await ask("apply --server-side --field-manager=other -f -", { input: theirs });
    assert.equal(conflict.code, 1);
    assert.match(conflict.err, /conflict with "kubectl-client-side-apply"[^]*\.data\.greeting/);
    assert.match(
      await tell("apply --server-side --field-manager=other --force-conflicts -f -", { input: theirs }),
      /serverside-applied/,
    );
    assert.match(
      await tell("get configmap words -o yaml --show-managed-fields"),
      /manager: other\n\s+operation: Apply/,
    );
  },
);

for (const { name, words, want } of [
  {
    name: "as a table",
    words: "get deployment web",
    want: /^NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE\nweb\s+2\/2\s+2\s+2\s+\d+s\n$/,
  },
  {
    name: "wide",
    words: "get pods -o wide",
    want: /^NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE\s+IP\s+NODE\s+NOMINATED NODE\s+READINESS GATES\nweb-\S+\s+1\/1\s+Running\s+0\s+\d+s\s+10\.42\.0\.\d+\s+store-042\s+<none>\s+<none>\n/,
  },
  { name: "as JSON", words: "get service web -o json", want: /"kind": "Service"/ },
  { name: "as YAML", words: "get service web -o yaml", want: /^apiVersion: v1\nkind: Service$/m },
  {
    name: "by name",
    words: "get deployment,service -o name",
    want: /^deployment\.apps\/web\nservice\/web\n$/,
  },
  { name: "by jsonpath", words: "get deployment web -o jsonpath={.spec.replicas}", want: /^2$/ },
  {
    name: "by columns",
    words: "get deployment -o custom-columns=N:.metadata.name,R:.spec.replicas",
    want: /^N\s+R\nweb\s+2\n$/,
  },
  {
    name: "by template",
    words: ["get", "pods", "-o", 'go-template={{range .items}}{{.spec.nodeName}}{{"\\n"}}{{end}}'],
    want: /^store-042\nstore-042\n$/,
  },
  {
    name: "by label",
    words: "get pods -l app=web,app!=x --show-labels --no-headers",
    want: /^(web-\S+\s.*app=web,pod-template-hash=\S+\n){2}$/,
  },
  {
    name: "by a set of labels",
    words: ["get", "pods", "-l", "app in (web,other),!gone", "-o", "name"],
    want: /^(pod\/web-\S+\n){2}$/,
  },
  {
    name: "by field",
    words: "get pods --field-selector status.phase=Running,spec.nodeName=store-042 -o name",
    want: /^(pod\/web-\S+\n){2}$/,
  },
  { name: "everywhere", words: "get pods -A --no-headers", want: /^coffee-shop\s+order-[^]*^tools\s+web-/m },
  { name: "in pieces", words: "get pods -A --chunk-size=2 -o name", want: /order-[^]*web-/ },
  {
    name: "sorted",
    words: "get services -A --sort-by=.metadata.name -o custom-columns=N:.metadata.name --no-headers",
    want: /^gateway\ninventory\nkubernetes\n/,
  },
  {
    name: "all",
    words: "get all",
    want: /^pod\/web-[^]*^service\/web\s+ClusterIP\s+10\.43\.[^]*^deployment\.apps\/web\s+2\/2[^]*^replicaset\.apps\/web-\S+\s+2\s+2\s+2\s/m,
  },
  { name: "what is a claim", words: "get pvc", want: /^shelf\s+Pending\s+local-path\s+<unset>\s/m },
  {
    name: "what is an ingress",
    words: "get ingress",
    want: /^web\s+cortado\s+web\.example\.test\s+100\.64\.0\.2\s+80\s/m,
  },
] as const)
  test(`get: ${name}`, { skip }, async () => {
    await until(`get ${name}`, async () => want.test((await ask(words)).out), 5_000).catch(() => undefined);
    assert.match(await tell(words), want);
  });

for (const { words, says } of [
  { words: "get pod nosuch", says: /^Error from server \(NotFound\): pods "nosuch" not found\n$/ },
  { words: "get nosuch", says: /^error: the server doesn't have a resource type "nosuch"\n$/ },
  { words: "get pods --field-selector foo=bar", says: /field label not supported: foo/ },
  {
    words: "create configmap words --from-literal=a=b",
    says: /^error: failed to create configmap: configmaps "words" already exists\n$/,
  },
  {
    words: "create namespace Bad_Name",
    says: /The Namespace "Bad_Name" is invalid: metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 label must/,
  },
  {
    words: "scale deployment web --replicas=1 --current-replicas=9",
    says: /Expected replicas to be 9, was 2/,
  },
  { words: "logs nosuch", says: /pods "nosuch" not found/ },
  { words: "exec nosuch -- true", says: /^Error from server \(NotFound\): pods "nosuch" not found\n$/ },
  { words: "delete pod nosuch", says: /^Error from server \(NotFound\): pods "nosuch" not found\n$/ },
  {
    words: "rollout undo deployment/web --to-revision=99",
    says: /unable to find specified revision 99 in history/,
  },
  { words: "create token nosuch", says: /serviceaccounts "nosuch" not found/ },
  { words: "get --raw /nosuch", says: /the server could not find the requested resource/ },
])
  test(`a mistake is told as upstream tells it: kubectl ${words}`, { skip }, async () => {
    const { code, err } = await ask(words);
    assert.equal(code, 1);
    assert.match(err, says);
  });

test("get -w tells what happens while it happens", { skip }, async () => {
  await using watch = world.running("tools", "get configmaps -w --output-watch-events");
  await until("the list", () => /ADDED\s+words/.test(watch.said), 5_000);
  await tell("create configmap seen --from-literal=a=b");
  await tell("delete configmap seen");
  await until("the watch to tell it", () => /ADDED\s+seen[^]*DELETED\s+seen/.test(watch.said), 5_000);
});

for (const { words, wants } of [
  {
    words: "describe pod -l app=web",
    wants: [
      /^Status:\s+Running$/m,
      /^Controlled By:\s+ReplicaSet\/web-/m,
      /State:\s+Running/,
      /Readiness:\s+http-get http:\/\/:http\/ready/,
      /GREETING:\s+<set to the key 'greeting' of config map 'words'>/,
      /Normal\s+Scheduled.*default-scheduler\s+Successfully assigned tools\/web-\S+ to store-042/,
      /Normal\s+Started.*kubelet/,
    ],
  },
  {
    words: "describe node store-042",
    wants: [
      /^Roles:\s+control-plane$/m,
      /Ready\s+True.*KubeletReady/,
      /^PodCIDR:\s+10\.42\.0\.0\/24$/m,
      /Kubelet Version:\s+v1\.36\./,
      /^Non-terminated Pods:\s+\(\d+ in total\)$/m,
      /^Allocated resources:/m,
    ],
  },
  {
    words: "describe deployment web",
    wants: [
      /^Replicas:\s+2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable$/m,
      /Available\s+True\s+MinimumReplicasAvailable/,
      /Progressing\s+True\s+NewReplicaSetAvailable/,
      /Scaled up replica set web-\S+ from 0 to 2/,
    ],
  },
  {
    words: "describe service web",
    wants: [/^Endpoints:\s+10\.42\.0\.\d+:8000,10\.42\.0\.\d+:8000$/m, /^TargetPort:\s+http\/TCP$/m],
  },
  {
    words: "describe pvc shelf",
    wants: [
      /^Status:\s+Pending$/m,
      /Normal\s+WaitForFirstConsumer.*waiting for first consumer to be created before binding/,
    ],
  },
  {
    words: "describe ingress web",
    wants: [/^Address:\s+100\.64\.0\.2$/m, /web\.example\.test\s*\n\s+\/\s+web:80 \(10\.42\.0\.\d+:8000,/],
  },
  { words: "describe secret keys", wants: [/^Type:\s+Opaque$/m, /^key:\s+6 bytes$/m] },
])
  test(`kubectl ${words} shows what a person looks for`, { skip }, async () => {
    const out = await tell(words);
    for (const want of wants) assert.match(out, want);
  });

for (const { words, want } of [
  {
    words: "explain deployment.spec.strategy",
    want: /^FIELD: strategy <DeploymentStrategy>$[^]*rollingUpdate\s<RollingUpdateDeployment>/m,
  },
  { words: "explain pods.spec.containers --recursive", want: /livenessProbe\s<Probe>/ },
  { words: "explain alerts.spec", want: /^FIELD: spec <Object>$[^]*source\s<string> -required-/m },
  {
    words: "api-resources --api-group=apps -o name",
    want: /^controllerrevisions\.apps\ndaemonsets\.apps\ndeployments\.apps\nreplicasets\.apps\nstatefulsets\.apps\n$/,
  },
  { words: "api-versions", want: /^apps\/v1$[^]*^openfaas\.com\/v1$[^]*^v1$/m },
  { words: "version", want: /^Server Version: v1\.36\.\d/m },
  { words: "cluster-info", want: /Kubernetes control plane.*is running at.*https:\/\/127\.0\.0\.1:\d+/ },
  { words: "config view --minify", want: /certificate-authority-data: DATA\+OMITTED/ },
  { words: "get --raw /readyz", want: /^ok$/ },
  { words: "auth whoami", want: /Username\s+system:admin\nGroups\s+\[system:masters system:authenticated\]/ },
  { words: "auth can-i create deployments", want: /^yes\n$/ },
  { words: "top node", want: /^store-042\s+\d+m\s+\d+%\s+\d+Mi\s+\d+%/m },
  { words: "events --for deployment/web", want: /ScalingReplicaSet\s+Deployment\/web/ },
])
  test(`kubectl ${words} answers`, { skip }, async () => {
    assert.match(await tell(words), want);
  });

test("rollout: status, history with its causes, undo, restart, pause and resume", { skip }, async () => {
  await tell("set env deployment/web COLOUR=red");
  await tell("annotate deployment/web kubernetes.io/change-cause=painted");
  assert.match(await settled("web"), /successfully rolled out/);
  await until(
    "the cause",
    async () => /^2\s+painted$/m.test(await tell("rollout history deployment/web")),
    5_000,
  );
  assert.match(await tell("rollout history deployment/web --revision=2"), /COLOUR:\s+red/);
  await tell("rollout undo deployment/web");
  await settled("web");
  assert.doesNotMatch(await tell("get deployment web -o yaml"), /COLOUR/);
  await tell("rollout restart deployment/web");
  await settled("web");
  await tell("rollout pause deployment/web");
  await tell("set image deployment/web web=cortado.local/payment:1");
  const waiting = await ask("rollout status deployment/web --timeout=1s");
  assert.equal(waiting.code, 1);
  assert.match(waiting.out + waiting.err, /0 out of 2 new replicas have been updated[^]*timed out/);
  await tell("rollout resume deployment/web");
  await settled("web");
  assert.match(await tell("get deployment web -o wide"), /cortado\.local\/payment:1/);
});

test("scale, label, annotate, the three patches, edit, set and expose", { skip }, async () => {
  await tell("scale deployment web --replicas=3");
  await tell("wait --for=jsonpath={.status.readyReplicas}=3 deployment/web --timeout=30s");
  await tell("label deployment web tier=front");
  assert.match(
    (await ask("label deployment web tier=back")).err,
    /'tier' already has a value \(front\), and --overwrite is false/,
  );
  await tell("label deployment web tier=back --overwrite");
  await tell(["annotate", "deployment", "web", "note=a b"]);
  await tell([
    "patch",
    "deployment",
    "web",
    "-p",
    '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"SIZE","value":"big"}]}]}}}}',
  ]);
  await tell(["patch", "deployment", "web", "--type=merge", "-p", '{"metadata":{"labels":{"tier":null}}}']);
  await tell([
    "patch",
    "deployment",
    "web",
    "--type=json",
    "-p",
    '[{"op":"replace","path":"/spec/replicas","value":1}]',
  ]);
  const read = JSON.parse(await tell("get deployment web -o json")) as {
    metadata: { labels: object; annotations: Record<string, string> };
    spec: { replicas: number; template: { spec: { containers: { env: { name: string }[] }[] } } };
  };
  assert.deepEqual(read.metadata.labels, { app: "web" });
  assert.equal(read.metadata.annotations["note"], "a b");
  assert.equal(read.spec.replicas, 1);
  assert.deepEqual(
    read.spec.template.spec.containers[0]?.env.map(({ name }) => name),
    ["SIZE", "GREETING"],
    "merged by name",
  );
  assert.equal(
    (
      await ask([
        "patch",
        "deployment",
        "web",
        "--type=json",
        "-p",
        '[{"op":"test","path":"/spec/replicas","value":9}]',
      ])
    ).code,
    1,
  );
  assert.match(
    await tell("edit configmap words", { env: { KUBE_EDITOR: "sed -i s/moin/edited/" } }),
    /configmap\/words edited/,
  );
  assert.equal(await tell("get configmap words -o jsonpath={.data.greeting}"), "edited");
  assert.match((await ask("edit configmap words", { env: { KUBE_EDITOR: "true" } })).err, /no changes made/);
  const broken = await ask("edit deployment web", {
    env: { KUBE_EDITOR: "sed -i s/replicas:.*/replicas:\\ few/" },
  });
  assert.equal(broken.code, 1);
  await tell("set resources deployment/web --limits=memory=100Mi");
  await tell("expose deployment web --name=open --type=NodePort --port=80 --target-port=8000");
  assert.match(await tell("get service open"), /^open\s+NodePort\s+10\.43\.\S+\s+<none>\s+80:3\d{4}\/TCP/m);
  await settled("web");
});

test("create makes each kind that it can make", { skip }, async () => {
  writeFileSync(file("beans.txt"), "arabica\n");
  for (const [words, made] of [
    ["deployment bar --image=cortado.local/order:1 --replicas=1 --port=8080", "deployment.apps/bar"],
    [`configmap beans --from-literal=roast=dark --from-file=${file("beans.txt")}`, "configmap/beans"],
    ["secret generic pin --from-literal=code=1234", "secret/pin"],
    [`job once --image=${image} -- node -e console.log(6*7)`, "job.batch/once"],
    [
      `cronjob nightly --image=${image} --schedule=0\u00a03\u00a0*\u00a0*\u00a0* -- node -v`,
      "cronjob.batch/nightly",
    ],
    ["serviceaccount robot", "serviceaccount/robot"],
    ["role reader --verb=get,list --resource=pods,pods/log", "role.rbac.authorization.k8s.io/reader"],
    [
      "rolebinding robot-reads --role=reader --serviceaccount=tools:robot",
      "rolebinding.rbac.authorization.k8s.io/robot-reads",
    ],
    ["quota few --hard=configmaps=20", "resourcequota/few"],
    ["service clusterip plain --tcp=80:80", "service/plain"],
    ["ingress more --rule=more.example.test/*=web:80", "ingress.networking.k8s.io/more"],
    ["poddisruptionbudget one --selector=app=nobody --min-available=1", "poddisruptionbudget.policy/one"],
  ] as const) {
    const line = words.split(" ").map((word) => word.replaceAll("\u00a0", " "));
    assert.equal(await tell(["create", ...line]), `${made} created\n`);
  }
  assert.equal(
    await tell(["get", "configmap", "beans", "-o", "jsonpath={.data['beans\\.txt']}"]),
    "arabica\n",
  );
  await tell("wait --for=condition=complete job/once --timeout=30s");
  assert.equal(await tell("logs job/once"), "42\n");
  assert.match(
    await tell("get job,cronjob"),
    /^job\.batch\/once\s+Complete\s+1\/1\s[^]*^cronjob\.batch\/nightly\s+0 3 \* \* \*\s+<none>\s+False\s+0\s+<none>/m,
  );
  await tell("create job now --from=cronjob/nightly");
  await tell("wait --for=condition=complete job/now --timeout=30s");
  assert.match(await tell("logs job/now"), /^v24\./);
  await tell("wait --for=condition=available deployment/bar --timeout=30s");
});

test("auth: a restricted account may what its role says, with its own token too", { skip }, async () => {
  const robot = "--as=system:serviceaccount:tools:robot";
  assert.deepEqual(
    [(await ask(`auth can-i list pods ${robot}`)).out, (await ask(`auth can-i delete pods ${robot}`)).out],
    ["yes\n", "no\n"],
  );
  assert.equal((await ask(`auth can-i delete pods ${robot}`)).code, 1);
  assert.match(
    (await ask(`get secrets ${robot}`)).err,
    /^Error from server \(Forbidden\): secrets is forbidden: User "system:serviceaccount:tools:robot" cannot list resource "secrets" in API group "" in the namespace "tools"\n$/,
  );
  assert.match(await tell(`auth can-i --list ${robot}`), /^pods\s+\[\]\s+\[\]\s+\[get list\]$/m);
  const token = (await tell("create token robot --duration=10m")).trim();
  const server = await tell("config view --minify -o jsonpath={.clusters[0].cluster.server}");
  const direct = (bearer: string, ...words: string[]): Promise<Ran> =>
    run(stockClient("kubectl"), [
      "--kubeconfig=/dev/null",
      `--server=${server}`,
      "--insecure-skip-tls-verify",
      `--token=${bearer}`,
      "-n",
      "tools",
      ...words,
    ]);
  assert.match((await direct(token, "auth", "whoami")).out, /Username\s+system:serviceaccount:tools:robot/);
  assert.equal((await direct(token, "get", "pods")).code, 0);
  assert.match((await direct(token, "delete", "configmap", "words")).err, /forbidden/);
  assert.match((await direct(`${token}x`, "get", "pods")).err, /You must be logged in to the server/);
});

test("cordon, taint, drain and their undoing", { skip }, async () => {
  await tell("cordon store-042");
  assert.match(await tell("get node store-042"), /Ready,SchedulingDisabled/);
  await tell(["create", "deployment", "late", `--image=${image}`]);
  await until(
    "the late pod to wait",
    async () => /FailedScheduling.*unschedulable/.test(await tell("describe pod -l app=late")),
    10_000,
  );
  await tell("uncordon store-042");
  await tell("wait --for=condition=available deployment/late --timeout=30s");
  assert.match(
    await tell("drain store-042 --ignore-daemonsets --pod-selector=app=late --timeout=60s", {
      timeoutMs: 70_000,
    }),
    /pod\/late-\S+ evicted\nnode\/store-042 drained/,
  );
  await tell("uncordon store-042");
  await tell("taint node store-042 closed=now:NoSchedule");
  assert.match(await tell("describe node store-042"), /^Taints:\s+closed=now:NoSchedule$/m);
  await tell("taint node store-042 closed-");
  await tell("delete deployment late");
});

test("apply -k, replace, and what is not built is refused by name", { skip }, async () => {
  assert.match(
    await tell(["apply", "-k", join(manifests, "kustomized")]),
    /^configmap\/k-base created\nconfigmap\/k-made-\w+ created\n$/,
  );
  await tell(["delete", "-k", join(manifests, "kustomized")]);
  const words = JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "words" },
    data: { only: "this" },
  });
  assert.match(await tell("replace -f -", { input: words }), /^configmap\/words replaced$/m);
  assert.equal(await tell("get configmap words -o jsonpath={.data}"), '{"only":"this"}');
  assert.match(
    (await ask(["replace", "-f", file("web.yaml")])).err,
    /spec is immutable after creation except resources\.requests/,
  );
  const debug = await ask(["debug", await anyPod(), `--image=${image}`, "--profile=general", "--", "true"], {
    timeoutMs: 20_000,
  });
  assert.equal(debug.code, 1);
  assert.match(debug.err, /ephemeral containers are not served yet; use kubectl exec/);
  assert.match(
    (await ask("get --raw /api/v1/namespaces/coffee-shop/services/order:8080/proxy/api/menu")).err,
    /not served yet; use kubectl port-forward/,
  );
});

test("kubectl 1.34 does the same", { skip }, async () => {
  const old = { minor: "34" } as const;
  assert.match(await tell("version", old), /^Client Version: v1\.34\.[^]*^Server Version: v1\.36\./m);
  assert.match(
    await tell(["apply", "-f", file("web.yaml")], old),
    /^configmap\/words (unchanged|configured)$/m,
  );
  assert.match(await tell("get pods", old), /^web-\S+\s+1\/1\s+Running/m);
  assert.match(await tell("describe deployment web", old), /^Replicas:/m);
  assert.match(await tell("logs deployment/web --tail=1", old), /tick|GET|listening/);
  await until(
    "a pod that answers",
    async () => (await ask(["exec", await anyPod(), "--", "node", "-p", "1+1"], old)).out === "2\n",
    15_000,
  );
  assert.match(await tell("explain ingress.spec", old), /ingressClassName/);
});

test("Helm installs, upgrades, rolls back and uninstalls a chart", { skip }, async () => {
  mkdirSync(file("helm"), { recursive: true });
  const helm = async (words: string): Promise<string> => {
    const env = {
      KUBECONFIG: world.store.kubeconfig,
      HELM_CACHE_HOME: file("helm"),
      HELM_CONFIG_HOME: file("helm"),
      HELM_DATA_HOME: file("helm"),
    };
    const { code, out, err } = await run(stockClient("helm"), [...words.split(" "), "-n", "charts"], { env });
    assert.equal(code, 0, `helm ${words}: ${err}`);
    return out;
  };
  const chart = join(manifests, "chart");
  assert.match(
    await helm(`install stand ${chart} --create-namespace --wait --timeout 40s`),
    /STATUS: deployed\nREVISION: 1/,
  );
  await helm(`upgrade stand ${chart} --set greeting=bye --wait --timeout 40s`);
  assert.equal(await world.tell("charts", "get configmap stand-words -o jsonpath={.data.greeting}"), "bye");
  await helm("rollback stand 1 --wait --timeout 40s");
  assert.equal(await world.tell("charts", "get configmap stand-words -o jsonpath={.data.greeting}"), "hello");
  assert.match(await helm("list"), /^stand\s+charts\s+3\s+.*deployed\s+stand-0\.1\.0/m);
  await helm("uninstall stand --wait --timeout 40s");
  assert.equal(await world.tell("charts", "get deployments,secrets -o name"), "");
});

test(
  "delete waits, takes by label, takes all, takes at once; wait --for=delete sees it",
  { skip },
  async () => {
    const pod = await anyPod();
    const [gone] = await Promise.all([
      ask(`wait --for=delete pod/${pod} --timeout=30s`),
      tell(`delete pod ${pod}`),
    ]);
    assert.equal(gone.code, 0, gone.err);
    assert.equal((await ask(`get pod ${pod}`)).code, 1, "delete came back when it was gone");
    const forced = await ask("delete pods -l app=web --grace-period=0 --force");
    assert.equal(forced.code, 0);
    assert.match(forced.out, /force deleted/);
    assert.match(await tell("delete services --all"), /service "web" deleted/);
    assert.equal((await ask("delete pod nosuch --ignore-not-found")).code, 0);
    await tell("delete deployments,jobs,cronjobs --all");
    await until("no pod to be left", async () => (await tell("get pods -o name")) === "", 40_000);
    await tell("delete namespace tools --timeout=40s", { timeoutMs: 50_000 });
    assert.match((await ask("get namespace tools")).err, /namespaces "tools" not found/);
    await world.isWell();
  },
);
