"""What the API's submission is compared with: a route of FastAPI that takes the same body and does
nothing. Run by uvicorn, as the API is."""

from __future__ import annotations

from fastapi import FastAPI

from botrix.api.schemas import GenerateRequest

app = FastAPI()


@app.post("/api/accounts/generate", status_code=202)
async def generate(asked: GenerateRequest) -> dict[str, int]:
    return {"count": asked.count}
