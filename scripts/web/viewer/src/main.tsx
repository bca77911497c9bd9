import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api } from "./api";
import { PageProvider, sentence } from "./page";
import { ReadingView } from "./reading";
import { speaker } from "./texts";
import type { Info } from "./types";
import { WorkList } from "./worklist";
import "./style.css";

/** The study of the address `#/study/ID`; null on the work list. */
const studyOfAddress = (): string | null => /^#\/study\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;

function Main() {
  const [study, setStudy] = useState(studyOfAddress);
  useEffect(() => {
    const follow = () => setStudy(studyOfAddress());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return study === null ? <WorkList /> : <ReadingView key={study} id={study} />;
}

function Start() {
  const [info, setInfo] = useState<Info | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    api.info().then(setInfo, (error: unknown) => setProblem(sentence(speaker("en"), error)));
  }, []);
  if (problem) return <p class="problem" role="alert">{problem}</p>;
  if (!info) return null;
  return (
    <PageProvider info={info}>
      <Main />
    </PageProvider>
  );
}

render(<Start />, document.getElementById("page")!);
