import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { tarEntry, tarEnd } from "@cortado/wire/tar";

/** Files of a repository by path: text or bytes. */
type Files = Readonly<Record<string, string | Uint8Array>>;

const map = (name: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`;
const targets = "targets: [{name: all, clusterSelector: {}}]\n";
const chart = (name: string): string => `apiVersion: v2\nname: ${name}\nversion: 1.0.0\n`;

/** Makes bare repositories that mean harm, with stock git, cheaply. */
export class HostileRepositories implements Disposable {
  readonly folder: string;
  readonly #work: string = mkdtempSync(join(tmpdir(), "hostile-"));

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  git(at: string, words: readonly string[], input?: string | Buffer): string {
    const who = ["-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "protocol.file.allow=always"];
    return execFileSync("git", [...who, "-C", at, ...words], {
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: this.#work, GIT_CONFIG_GLOBAL: "/dev/null" },
      maxBuffer: 1 << 28,
      stdio: ["pipe", "pipe", "pipe"],
      ...(input === undefined ? {} : { input }),
    })
      .toString()
      .trim();
  }

  bare(name: string): string {
    const path = join(this.folder, `${name}.git`);
    this.git(this.#work, ["init", "--quiet", "--bare", "--initial-branch", "main", path]);
    this.git(path, ["config", "uploadpack.allowAnySHA1InWant", "true"]);
    return path;
  }

  /** A repository of files, and what else `more` does to the folder before it is committed. */
  files(name: string, files: Files, more: (work: string) => void = () => undefined): void {
    const path = this.bare(name);
    const work = join(this.#work, name);
    for (const [file, content] of Object.entries(files)) {
      mkdirSync(dirname(join(work, file)), { recursive: true });
      writeFileSync(join(work, file), content);
    }
    mkdirSync(work, { recursive: true });
    this.git(work, ["init", "--quiet", "--initial-branch", "main"]);
    more(work);
    this.git(work, ["-c", "core.autocrlf=false", "add", "-A"]);
    this.git(work, ["commit", "--quiet", "--allow-empty", "-m", "One"]);
    this.git(work, ["push", "--quiet", path, "HEAD:refs/heads/main"]);
    rmSync(work, { recursive: true });
  }

  /** A repository out of a stream for fast-import. */
  stream(name: string, parts: Iterable<string | Buffer>): void {
    this.git(
      this.bare(name),
      ["fast-import", "--quiet"],
      Buffer.concat([...parts].map((one) => Buffer.from(one))),
    );
  }

  /** A tree that stock git would not make: objects by their names, whatever these are. */
  tree(name: string, entries: readonly { readonly name: string; readonly content: string }[]): void {
    const path = this.bare(name);
    const parts = entries.map((entry) => {
      const isFolder = entry.name.includes("/");
      const [first = "", ...rest] = entry.name.split("/");
      const blob = this.git(path, ["hash-object", "-w", "--stdin"], entry.content);
      const inner = isFolder
        ? this.#rawTree(path, [{ mode: "100644", name: rest.join("/"), id: blob }])
        : blob;
      return { mode: isFolder ? "40000" : "100644", name: first, id: inner };
    });
    const commit = this.git(path, ["commit-tree", "-m", "One", this.#rawTree(path, parts)]);
    this.git(path, ["update-ref", "refs/heads/main", commit]);
  }

  #rawTree(path: string, entries: readonly { mode: string; name: string; id: string }[]): string {
    const body = entries.map(({ mode, name, id }) =>
      Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(id, "hex")]),
    );
    return this.git(path, ["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], Buffer.concat(body));
  }

  [Symbol.dispose](): void {
    rmSync(this.#work, { recursive: true, force: true });
  }
}

export type HostileCase = {
  readonly name: string;
  readonly make: (all: HostileRepositories, name: string) => void;
  /** What its GitRepo or one of its Bundles says; absent: it is harmless, and its bundle is there. */
  readonly says?: RegExp;
  /** In place of the address of its repository and branch main. */
  readonly spec?: (url: string) => Readonly<Record<string, string>>;
};

function zipSlip(): Uint8Array {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  const parts = [
    tarEntry({ name: "evil/Chart.yaml", data: encode(chart("evil")) }),
    tarEntry({ name: "evil/../../../../outside.yaml", data: encode(map("outside")) }),
    tarEnd(),
  ];
  return gzipSync(Buffer.concat(parts));
}

const laughs = (lines: number): string =>
  Array.from({ length: lines }, (_, at) =>
    at === 0
      ? 'a0: &a0 ["ha"]'
      : `a${at}: &a${at} [${Array.from({ length: 9 }, () => `*a${at - 1}`).join(", ")}]`,
  ).join("\n");

function* manyFiles(count: number): Generator<string> {
  yield "commit refs/heads/main\ncommitter A <a@example.test> 0 +0000\ndata 3\nOne\n";
  for (let at = 0; at < count; at += 1) {
    const text = map(`m-${at}`);
    yield `M 100644 inline files/${at % 100}/${at}.yaml\ndata ${text.length}\n${text}\n`;
  }
}

function* largeFile(bytes: number): Generator<string | Buffer> {
  const piece = Buffer.alloc(1024 * 1024, "# coffee\n");
  yield `blob\nmark :1\ndata ${bytes}\n`;
  for (let left = bytes; left > 0; left -= piece.byteLength)
    yield piece.subarray(0, Math.min(left, piece.byteLength));
  yield "\ncommit refs/heads/main\ncommitter A <a@example.test> 0 +0000\ndata 3\nOne\nM 100644 :1 large.yaml\n";
}

/** Each is a GitRepo of its own; names are names of Kubernetes. */
export const hostileCases: readonly HostileCase[] = [
  {
    name: "link-out",
    make: (all, name) =>
      all.files(name, { "a.yaml": map("a") }, (work) => symlinkSync("/etc/passwd", join(work, "out.yaml"))),
    says: /out\.yaml is a link to "\/etc\/passwd", outside of the repository/,
  },
  {
    name: "link-loop",
    make: (all, name) =>
      all.files(name, { "a.yaml": map("a") }, (work) => {
        symlinkSync("two.yaml", join(work, "one.yaml"));
        symlinkSync("one.yaml", join(work, "two.yaml"));
      }),
    says: /one\.yaml/,
  },
  {
    name: "settings-link-out",
    make: (all, name) =>
      all.files(name, { "a.yaml": map("a") }, (work) =>
        symlinkSync("../../etc/passwd", join(work, "fleet.yaml")),
      ),
    says: /fleet\.yaml is a link to "\.\.\/\.\.\/etc\/passwd", outside of the repository/,
  },
  {
    name: "zip-slip",
    make: (all, name) =>
      all.files(name, { "fleet.yaml": `${targets}helm: {chart: evil.tgz}\n`, "evil.tgz": zipSlip() }),
    says: /outside the base directory|climbs|\.\./,
  },
  { name: "many-files", make: (all, name) => all.stream(name, manyFiles(100_000)), says: /5,?000/ },
  {
    name: "large-file",
    make: (all, name) => all.stream(name, largeFile(300 * 1024 * 1024)),
    says: /large\.yaml .*bytes/,
  },
  {
    name: "submodule-chain",
    make: (all, name) => {
      const path = all.bare(name);
      let last = all.git(path, ["commit-tree", "-m", "0", all.git(path, ["mktree"], "")]);
      const modules = all.git(
        path,
        ["hash-object", "-w", "--stdin"],
        '[submodule "s"]\npath = s\nurl = ./\n',
      );
      for (let at = 1; at <= 12; at += 1) {
        const tree = all.git(
          path,
          ["mktree", "--missing"],
          `100644 blob ${modules}\t.gitmodules\n160000 commit ${last}\ts\n`,
        );
        last = all.git(path, ["commit-tree", "-m", String(at), tree]);
      }
      all.git(path, ["update-ref", "refs/heads/main", last]);
    },
    says: /submodules in submodules: at most 5 deep/,
  },
  {
    name: "laughs-in-settings",
    make: (all, name) =>
      all.files(name, { "fleet.yaml": `${laughs(12)}\nhelm: {values: {x: *a11}}\n`, "a.yaml": map("a") }),
    says: /fleet\.yaml/,
  },
  {
    name: "laughs-in-manifest",
    make: (all, name) =>
      all.files(name, { "fleet.yaml": targets, "a.yaml": `${map("a")}data:\n  x: 1\n${laughs(12)}\n` }),
    says: /a\.yaml/,
  },
  {
    name: "deep-nesting",
    make: (all, name) =>
      all.files(name, { "fleet.yaml": targets, "a.yaml": `${map("a")}data: ${"[".repeat(200_000)}\n` }),
    says: /a\.yaml/,
  },
  {
    name: "names-with-lines",
    make: (all, name) =>
      all.files(name, { "fleet.yaml": targets, "a\nb.yaml": map("a"), "c\td\u0001.yaml": map("c") }),
  },
  {
    name: "dot-git-inside",
    make: (all, name) =>
      all.tree(name, [
        { name: ".git/config", content: "[core]\n\tsshCommand = touch /tmp/hostile-dot-git\n" },
        { name: "a.yaml", content: map("a") },
        { name: "fleet.yaml", content: targets },
      ]),
  },
  {
    name: "dot-dot-inside",
    make: (all, name) =>
      all.tree(name, [
        { name: "../outside.yaml", content: map("outside") },
        { name: "a.yaml", content: map("a") },
        { name: "fleet.yaml", content: targets },
      ]),
    says: /\.\./,
  },
  {
    name: "large-settings",
    make: (all, name) =>
      all.files(name, { "fleet.yaml": `# ${"x".repeat(3_000_000)}\n`, "a.yaml": map("a") }),
    says: /fleet\.yaml .*bytes/,
  },
  {
    name: "no-utf8",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": Buffer.from([0x6e, 0x61, 0x6d, 0x65, 0x3a, 0x20, 0xff, 0xfe, 0x0a]),
        "a.yaml": map("a"),
      }),
    says: /fleet\.yaml/,
  },
  {
    name: "template-bomb",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": `${targets}helm: {values: {x: "\${ range until 100000 }\${ range until 100000 }x\${ end }\${ end }"}}\n`,
        "Chart.yaml": chart("bomb"),
        "templates/a.yaml": map("a"),
      }),
    says: /helm\.values\.x|steps|until/,
  },
  {
    name: "chart-bomb",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets,
        "Chart.yaml": chart("bomb"),
        "templates/a.yaml": `${map("a")}data: {x: '{{ repeat 30000000 "x" }}'}\n`,
      }),
    says: /helm/,
  },
  {
    name: "chart-lookup",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets,
        "Chart.yaml": chart("asks"),
        "templates/a.yaml": `${map("a")}data: {x: '{{ (lookup "v1" "Secret" "kube-system" "x").data }}'}\n`,
      }),
    says: /templates\/a\.yaml: lookup asks the store/,
  },
  {
    name: "remote-base",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets,
        "kustomization.yaml": "resources: [https://example.org/base]\n",
      }),
    says: /kustomization\.yaml.*https:\/\/example\.org\/base/s,
  },
  {
    name: "base-outside",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets,
        "kustomization.yaml": "resources: [../../../../../etc/passwd]\n",
      }),
    says: /etc\/passwd/,
  },
  {
    name: "ignore-bomb",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets,
        ".fleetignore": `${"*a".repeat(40)}b\n`,
        [`${"a".repeat(200)}.yaml`]: map("a"),
      }),
  },
  {
    name: "ignore-no-pattern",
    make: (all, name) =>
      all.files(name, { "fleet.yaml": targets, ".fleetignore": "[\n", "a.yaml": map("a") }),
    says: /\.fleetignore: "\[" is not a pattern/,
  },
  {
    name: "same-but-case",
    make: (all, name) => all.files(name, { "fleet.yaml": targets, "a.yaml": map("a"), "A.yaml": map("b") }),
  },
  {
    name: "carriage-returns",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets.replaceAll("\n", "\r\n"),
        "a.yaml": map("a").replaceAll("\n", "\r\n"),
      }),
  },
  {
    name: "large-file-pointer",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets,
        "a.yaml": `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 12345\n`,
      }),
    says: /a\.yaml.*Git LFS/s,
  },
  { name: "empty", make: (all, name) => void all.bare(name), says: /no branch "main"; it has no branches/ },
  {
    name: "branch-option",
    make: (all, name) => all.files(name, { "a.yaml": map("a") }),
    spec: (url) => ({ repo: url, branch: "--upload-pack=touch /tmp/hostile-branch" }),
    says: /no branch "--upload-pack=touch/,
  },
  {
    name: "revision-option",
    make: (all, name) => all.files(name, { "a.yaml": map("a") }),
    spec: (url) => ({ repo: url, revision: "--output=/tmp/hostile-revision" }),
    says: /no tag, branch or commit "--output=/,
  },
  {
    name: "url-ext",
    make: () => undefined,
    spec: () => ({ repo: "ext::sh -c 'touch /tmp/hostile-ext'", branch: "main" }),
    says: /not allowed/,
  },
  {
    name: "url-file",
    make: () => undefined,
    spec: () => ({ repo: "file:///etc", branch: "main" }),
    says: /not allowed/,
  },
  {
    name: "url-option",
    make: () => undefined,
    spec: () => ({ repo: "--upload-pack=touch /tmp/hostile-url", branch: "main" }),
    says: /./,
  },
  {
    name: "documents",
    make: (all, name) =>
      all.files(name, {
        "fleet.yaml": targets,
        "a.yaml": Array.from({ length: 60_000 }, (_, at) => map(`m-${at}`)).join("---\n"),
      }),
    says: /objects|bytes|a\.yaml/,
  },
];
